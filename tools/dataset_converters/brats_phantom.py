"""Make synthetic cases of brain tumour MRI, named and laid out as those of BraTS.

    python tools/dataset_converters/brats_phantom.py data/phantom --cases 24

A run that was stopped is continued by the same command.
"""

import argparse
import time
from pathlib import Path

from mmcggm.datasets.brats.cases import NAMINGS
from mmcggm.datasets.brats.phantom_writer import write_phantoms
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('dst', type=Path, help='folder for the cases; made if absent')
    parser.add_argument('--cases', type=int, required=True, help='how many')
    parser.add_argument('--seed', type=int, default=0, help='fixes, with its number, each case (default: 0)')
    parser.add_argument('--workers', type=int, default=2, help='threads, 0.5 GB each (default: 2)')
    parser.add_argument(
        '--naming', choices=NAMINGS, default='2021', help='generation of BraTS (default: 2021)'
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    start = time.monotonic()
    written, kept = write_phantoms(args.dst, args.cases, args.seed, args.workers, args.naming)
    print(f'{written} phantoms made in {time.monotonic() - start:.0f} s, {kept} already there: {args.dst}')
    return 0


if __name__ == '__main__':
    run_tool(main)
