"""Write a case as one HTML file that any browser shows from disk: sequences, reference and prediction.

    python tools/analysis_tools/view_case.py data/brats --pred segmentations --out views
    python tools/analysis_tools/view_case.py scans/TCGA-DU-7294 --pred segmentations --out views

The source is a store that tools/dataset_converters/brats.py wrote, or a folder with cases as the challenges
publish them. The page needs neither a server nor the internet.
"""

import argparse
from pathlib import Path

from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.utils.atomic import replacing
from mmcggm.utils.run_tool import run_tool
from mmcggm.visualization.case_viewer import case_page
from mmcggm.visualization.niivue import niivue_script
from mmcggm.visualization.viewed_cases import find_viewed_cases


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='a store, or a folder with one case or several')
    parser.add_argument(
        '--pred',
        type=Path,
        help='folder with {case}.nii.gz, as tools/test.py --out writes, or one such file; default: none',
    )
    parser.add_argument('--out', '--out-dir', type=Path, required=True, help='where {case}.html is written')
    parser.add_argument('--cases', nargs='+', help='cases to write (default: all that have a prediction)')
    parser.add_argument(
        '--labels',
        choices=CONVENTIONS,
        help='what the labels in the files mean (default: what the store says, or what all files tell)',
    )
    parser.add_argument(
        '--niivue',
        type=Path,
        metavar='FILE',
        help='niivue.umd.js of the npm package @niivue/niivue (default: as the package ipyniivue carries it)',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    niivue = niivue_script(args.niivue)
    for case in find_viewed_cases(args.source, args.pred, args.cases, args.labels):
        args.out.mkdir(parents=True, exist_ok=True)
        out = args.out / f'{case.name}.html'
        with replacing(out) as temporary:
            temporary.write_text(case_page(case, niivue), encoding='utf-8')
        print(f'{out} ({out.stat().st_size / 1e6:.1f} MB)')
    return 0


if __name__ == '__main__':
    run_tool(main)
