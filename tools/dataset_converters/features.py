"""Convert features in files of any kind to one HDF5 file, of which a row is read without reading the rest.

    python tools/dataset_converters/features.py --data-root raw --input text=text_{split}.csv \
        --input audio=audio.mat:X/0 --labels labels_{split}.csv:emotion --splits train val test --out
        data/my_set.h5

It is needed for nothing but speed and memory: FeatureDataset reads the same files. What a source may be, see
the page 'Your own features' of the documentation. No file is executed. Prints the settings of the data set
that reads the result.
"""

import argparse
from pathlib import Path

from mmcggm.datasets.features.converter import convert_features
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--input', action='append', required=True, metavar='MODALITY=PATH:KEY', help='once a modality'
    )
    parser.add_argument('--labels', required=True, metavar='PATH:KEY')
    parser.add_argument('--groups', metavar='PATH:KEY', help='the subject, video or patient of each row')
    parser.add_argument(
        '--names', metavar='KEY', help='the column that names the rows of --labels and --groups'
    )
    parser.add_argument('--splits', nargs='+', default=[], metavar='NAME', help='what {split} stands for')
    parser.add_argument('--data-root', type=Path, default='', help='folder of the files (default: this one)')
    parser.add_argument('--out', type=Path, required=True, help='the HDF5 file')
    args = parser.parse_args()
    bad = [value for value in args.input if '=' not in value]
    if bad:
        parser.error(f'--input {bad[0]}: it must be MODALITY=PATH:KEY')
    return args


def main() -> int:
    args = parse_args()
    inputs = dict(value.split('=', 1) for value in args.input)
    columns = dict(labels=args.labels, groups=args.groups)
    if args.names:
        columns = {key: value and dict(file=value, names=args.names) for key, value in columns.items()}
    shapes = convert_features(
        inputs, target=args.out, splits=args.splits, data_root=args.data_root, **columns
    )
    name = args.out.name
    print(f'{args.out}: ' + ', '.join(f'{key} {shape}' for key, shape in shapes.items()))
    print('Settings of the data set:')
    print(f"    type='FeatureDataset',\n    data_root='{args.out.parent}',")
    print('    inputs=dict(' + ', '.join(f"{m}='{name}:{m}'" for m in inputs) + '),')
    lengths = [m for m in inputs if f'{m}_lengths' in shapes]
    if lengths:
        print('    lengths=dict(' + ', '.join(f"{m}='{name}:{m}_lengths'" for m in lengths) + '),')
    labels = f"dict(file='{name}', key='labels', names='names')" if 'names' in shapes else f"'{name}:labels'"
    print(f'    labels={labels},')
    for setting, key in (('groups', 'groups'), ('splits', 'split')):
        if key in shapes:
            print(f"    {setting}='{name}:{key}',")
    return 0


if __name__ == '__main__':
    run_tool(main)
