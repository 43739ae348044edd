"""Draw what the balancer did in the training of a work folder, all its resumed runs together.

python tools/analysis_tools/plot_balance.py work_dirs/cggm --out figures/balance.png
"""

import argparse
from pathlib import Path

from mmcggm.utils.run_tool import run_tool
from mmcggm.visualization.curves import draw_curves, read_curves
from mmcggm.visualization.figures import save_figure


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dir', type=Path, help='work folder of the training')
    parser.add_argument('--out', type=Path, required=True, help='the picture; its suffix sets the format')
    parser.add_argument(
        '--smooth', type=float, default=0.9, help='weight of the past in the lines, 0 for none (default: 0.9)'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    save_figure(draw_curves(read_curves(args.work_dir), args.smooth), args.out)
    print(f'Drew {args.out}')
    return 0


if __name__ == '__main__':
    run_tool(main)
