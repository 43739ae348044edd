"""Convert a folder of BraTS cases to the store that training reads.

    python tools/dataset_converters/brats.py data/BraTS2021_Training_Data --out data/brats

Cases may be named as BraTS 2021 or as BraTS 2023 and later, and may lack a segmentation. A run that
was stopped is continued by the same command. Exits with 1 if a case is bad, unless --skip-bad.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from mmcggm.datasets.brats.converter import convert_folder


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='folder with one folder a case')
    parser.add_argument('--out', type=Path, required=True, help='the store; made if absent')
    parser.add_argument(
        '--workers', type=int, default=min(4, os.cpu_count() or 1), help='processes, 1 GB each'
    )
    parser.add_argument('--skip-bad', action='store_true', help='leave bad cases out and exit with 0')
    parser.add_argument(
        '--split',
        type=float,
        nargs=3,
        default=(0.8, 0.1, 0.1),
        metavar=('TRAIN', 'VAL', 'TEST'),
        help='shares of the patients (default: 0.8 0.1 0.1)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the splits; an existing splits.json keeps its own'
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    try:
        outcomes = convert_folder(
            args.source,
            args.out,
            workers=args.workers,
            skip_bad=args.skip_bad,
            fractions=args.split,
            seed=args.seed,
        )
    except (OSError, ValueError, RuntimeError) as error:
        print(f'Error: {error}', file=sys.stderr)
        return 1
    count = Counter(outcome.status for outcome in outcomes)
    print(f'{count["converted"]} converted, {count["present"]} already there, {count["bad"]} bad: {args.out}')
    if count['bad'] and not args.skip_bad:
        print(
            'Repair the bad cases, or leave them out with --skip-bad; until then splits.json is not written.'
        )
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
