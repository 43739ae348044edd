"""Draw segmentations beside their references, a row a case.

python tools/analysis_tools/plot_slices.py data/brats results/ --out figures/slices.png
"""

import argparse
from pathlib import Path

from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.utils.run_tool import run_tool
from mmcggm.visualization.figures import save_figure
from mmcggm.visualization.sample_cases import draw_sample_cases, predicted_cases


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('store', type=Path, help='the store that tools/dataset_converters/brats.py wrote')
    parser.add_argument(
        'pred_dir', type=Path, help='folder with {case}.nii.gz, as tools/test.py --out writes'
    )
    parser.add_argument('--out', type=Path, required=True, help='the picture; its suffix sets the format')
    parser.add_argument(
        '--labels', choices=CONVENTIONS, help='what the labels in PRED_DIR mean (default: as in the source)'
    )
    parser.add_argument('--cases', nargs='+', help='cases to draw (default: the first four of PRED_DIR)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    cases = args.cases or predicted_cases(args.pred_dir)
    save_figure(draw_sample_cases(args.store, args.pred_dir, cases, args.labels), args.out)
    print(f'Drew {", ".join(cases)}: {args.out}')
    return 0


if __name__ == '__main__':
    run_tool(main)
