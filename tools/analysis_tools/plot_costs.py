"""Draw what methods gain on joint training against the time they take, a panel a benchmark and setting.

    python tools/analysis_tools/plot_costs.py work_dirs/benchmark/* --out costs.png

Reads the tables and costs that tools/benchmark.py wrote; points are mean differences over paired seeds, with
their standard error.
"""

import argparse
from pathlib import Path

from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folders', type=Path, nargs='+', help='folders of finished benchmarks')
    parser.add_argument('--out', type=Path, required=True, help='the picture; its suffix sets the format')
    parser.add_argument('--metric', default='accuracy', help='what to compare (default: accuracy)')
    parser.add_argument('--baseline', default='joint', help='what to compare with (default: joint)')
    parser.add_argument('--methods', nargs='+', metavar='NAME', help='draw these alone (default: all)')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    # Here, since --help needs none of them.
    from mmcggm.benchmark import read_tables
    from mmcggm.visualization.cost_plot import cost_points, draw_costs
    from mmcggm.visualization.figures import save_figure

    panels = {}
    for folder in args.folders:
        rows, costs = read_tables(folder)
        chosen = [row for row in rows if args.methods is None or row.method in (*args.methods, args.baseline)]
        for setting, points in cost_points(chosen, costs, args.metric, args.baseline).items():
            panels[f'{folder.resolve().name}, {setting}'] = points
    if not panels:
        raise ValueError(
            f"No method of {', '.join(map(str, args.folders))} has both '{args.metric}' and a cost beside "
            f"'{args.baseline}': run the benchmarks without --no-costs."
        )
    save_figure(draw_costs(panels, args.metric, args.baseline), args.out)
    print(f'Drew {args.out}')
    return 0


if __name__ == '__main__':
    run_tool(main)
