"""Draw segmentations beside their references, a row a case.

python tools/analysis_tools/plot_slices.py data/brats results/ --out figures/slices.png
"""

import argparse
from pathlib import Path

from mmcggm.datasets.brats.label_conventions import CONVENTIONS, get_convention
from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.evaluation.brats.label_files import read_labels
from mmcggm.utils.run_tool import run_tool
from mmcggm.visualization.figures import save_figure
from mmcggm.visualization.slices import draw_cases


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
    cases = (
        args.cases or sorted(path.name.removesuffix('.nii.gz') for path in args.pred_dir.glob('*.nii.gz'))[:4]
    )
    if not cases:
        raise FileNotFoundError(
            f'{args.pred_dir} holds no {{case}}.nii.gz. tools/test.py --out DIR writes them.'
        )
    stored = [StoredCase(case_path(args.store, case)) for case in cases]
    conventions = [get_convention(args.labels) if args.labels else case.convention for case in stored]
    predictions = [
        read_labels(args.pred_dir / f'{case}.nii.gz', convention).array
        for case, convention in zip(cases, conventions, strict=True)
    ]
    save_figure(draw_cases(list(zip(stored, predictions, strict=True))), args.out)
    print(f'Drew {", ".join(cases)}: {args.out}')
    return 0


if __name__ == '__main__':
    run_tool(main)
