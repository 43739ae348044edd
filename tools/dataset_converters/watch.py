"""Cut seglearn's recordings of a watch into windows, and put their features in one file.

    pip install --no-deps seglearn
    python tools/dataset_converters/watch.py --out data/watch

seglearn is not imported; only its file of recordings is read, as data.
"""

import argparse
from pathlib import Path

from mmcggm.datasets.watch.converter import FILE, convert_recordings
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source',
        nargs='?',
        type=Path,
        help='folder of watch_dataset.npy (default: that of the installed seglearn)',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for the file; made if absent')
    parser.add_argument('--seconds', type=float, default=2.0, help='length of a window (default: 2)')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    counts = convert_recordings(args.source, args.out, seconds=args.seconds)
    print(f'Wrote {args.out / FILE}: ' + ', '.join(f'{count} {what}' for what, count in counts.items()))
    return 0


if __name__ == '__main__':
    run_tool(main)
