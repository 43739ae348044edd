"""Draw what happened to each modality in trainings: balancing term, score, gradient's norm and direction.

    python tools/analysis_tools/plot_balance.py work_dirs/cggm/mfeat --out balance.png
    python tools/analysis_tools/plot_balance.py --run joint joint_* --run CGGM cggm_* --out balance.png

A folder is one column, all its resumed runs together; --run draws several, the seeds of a method, as their
mean with a band. B and scores are there if BalancingHook was in the config, norms and the fused model if
GradientStatsHook was.
"""

import argparse
from pathlib import Path

from mmcggm.utils.run_tool import run_tool
from mmcggm.visualization.curves import draw_runs, read_curves
from mmcggm.visualization.figures import save_figure


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dirs', type=Path, nargs='*', help='work folders, a column each')
    parser.add_argument(
        '--run',
        nargs='+',
        action='append',
        default=[],
        metavar=('NAME', 'WORK_DIR'),
        help='a column with this name, of one work folder or of several seeds; may be repeated',
    )
    parser.add_argument('--out', type=Path, required=True, help='the picture; its suffix sets the format')
    parser.add_argument(
        '--smooth', type=float, default=0.9, help='weight of the past in the lines, 0 for none (default: 0.9)'
    )
    args = parser.parse_args(argv)
    if not args.work_dirs and not args.run:
        parser.error('name a work folder, or several with --run')
    if any(len(run) < 2 for run in args.run):
        parser.error('--run needs a name and at least one work folder')
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    runs = {str(folder): [folder] for folder in args.work_dirs}
    if len(runs) == 1 and not args.run:
        runs = {'': args.work_dirs}
    runs |= {name: folders for name, *folders in args.run}
    curves = {name: [read_curves(folder) for folder in folders] for name, folders in runs.items()}
    save_figure(draw_runs(curves, args.smooth), args.out)
    print(f'Drew {args.out}')
    return 0


if __name__ == '__main__':
    run_tool(main)
