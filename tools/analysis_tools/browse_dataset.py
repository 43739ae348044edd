"""Draw what the network gets: samples of a config's data set after its transforms.

    python tools/analysis_tools/browse_dataset.py configs/cggm/brats_unet.py --out-dir samples
    python tools/analysis_tools/browse_dataset.py configs/cggm/cmu_mosi.py --split test --number 3 --out-dir s

Images and slices are shown with their segmentation, sequences over time, vectors as lines. What is random in
the transforms is drawn anew with each call unless --seed is given.
"""

import argparse
from pathlib import Path

from mmcggm.utils.run_tool import run_tool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    from mmcggm.utils.launch_arguments import OptionAction

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--out-dir', '--output-dir', type=Path, required=True, help='where {split}_{index}.png is written'
    )
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train', help='default: train')
    parser.add_argument('--number', type=int, default=8, help='of samples, spread over the set (default: 8)')
    parser.add_argument('--seed', type=int, help='of what is random in the transforms')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, help='as of tools/train.py')
    args = parser.parse_args(argv)
    if args.number < 1:
        parser.error('--number must be at least 1')
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    import numpy as np
    from mmengine.registry import init_default_scope
    from mmengine.runner import set_random_seed

    from mmcggm.engine.representations import loader_settings
    from mmcggm.engine.settings import read_config
    from mmcggm.registry import DATASETS
    from mmcggm.visualization.figures import save_figure
    from mmcggm.visualization.samples import draw_sample

    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmcggm'))
    if args.seed is not None:
        set_random_seed(args.seed)
    dataset = DATASETS.build(loader_settings(cfg, args.split).dataset)
    if not len(dataset):
        raise ValueError(f'The {args.split} split of {args.config} is empty.')
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    indices = np.linspace(0, len(dataset) - 1, min(args.number, len(dataset))).astype(int).tolist()
    for index in indices:
        save_figure(draw_sample(dataset[index], classes), args.out_dir / f'{args.split}_{index}.png', dpi=110)
    print(f'Drew {len(indices)} of the {len(dataset)} samples in the {args.split} split into {args.out_dir}')
    return 0


if __name__ == '__main__':
    run_tool(main)
