"""Convert a pickle of CMU-MOSI or CMU-MOSEI to HDF5, which is safe to share and read lazily.

    python tools/dataset_converters/sentiment.py data/cmu_mosi/aligned_50.pkl

The pickle may be in the format of MulT or of MMSA, aligned or not. It is read without running code; one that
asks for more than numpy arrays is refused, and the message names what it asks for. Exits with 1 then.
"""

import argparse
from pathlib import Path

from mmcggm.datasets.sentiment.converter import convert_pickle
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='the pickle')
    parser.add_argument('--out', type=Path, help='the HDF5 file (default: the source with the suffix .h5)')
    parser.add_argument(
        '--keys',
        nargs='+',
        default=[],
        metavar='MODALITY=KEY',
        help='what the pickle calls each modality to convert (default: text, audio and vision), and `labels`',
    )
    args = parser.parse_args()
    bad = [pair for pair in args.keys if '=' not in pair]
    if bad:
        parser.error(f'--keys {bad[0]}: it must be MODALITY=KEY')
    return args


def main() -> int:
    args = parse_args()
    out = args.out or args.source.with_suffix('.h5')
    sizes = convert_pickle(args.source, out, dict(pair.split('=', 1) for pair in args.keys) or None)
    print(f'{out}: ' + ', '.join(f'{size} samples in {split}' for split, size in sizes.items()))
    return 0


if __name__ == '__main__':
    run_tool(main)
