"""Pair spoken digits with images of handwritten ones, in one file that training reads.

    git clone https://github.com/Jakobovski/free-spoken-digit-dataset data/fsdd
    python tools/dataset_converters/av_digits.py data/fsdd/recordings --out data/av_digits

The images are scikit-learn's. Exits with 1 if a recording is bad, unless --skip-bad.
"""

import argparse
from pathlib import Path

from mmcggm.datasets.av_digits.converter import FILE, convert_folder
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('recordings', type=Path, help='folder of {digit}_{speaker}_{index}.wav')
    parser.add_argument('--out', type=Path, required=True, help='folder for the file; made if absent')
    parser.add_argument('--skip-bad', action='store_true', help='leave bad recordings out and exit with 0')
    parser.add_argument('--seed', type=int, default=0, help="of the images' split (default: 0)")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    written, bad = convert_folder(args.recordings, args.out, skip_bad=args.skip_bad, seed=args.seed)
    print(f'{written} recordings written, {len(bad)} bad: {args.out / FILE}')
    if bad and not args.skip_bad:
        print('Repair the bad recordings, or leave them out with --skip-bad; until then nothing is written.')
        return 1
    return 0


if __name__ == '__main__':
    run_tool(main)
