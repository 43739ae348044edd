"""Compute the features of frozen encoders once, so that training reads them.

    python tools/dataset_converters/cache_features.py configs/cggm/food101_cached.py --views 4

The config is one whose data sets are ``CachedFeatureDataset``: they name the data set, the encoders and
the folder. With --views, items of the training set are encoded several times, each with other random
transforms. A run that was stopped is continued by the same command.
"""

import argparse
import os
from pathlib import Path

import torch
from mmengine.registry import init_default_scope

from mmcggm.datasets.feature_cache.dataset import FeatureCache
from mmcggm.datasets.feature_cache.writer import write_features
from mmcggm.engine.settings import read_config
from mmcggm.utils.run_tool import run_tool

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--out', help="the cache; made if absent (default: the config's `data_root`)")
    parser.add_argument('--views', type=int, default=1, help='of each item of the training set (default: 1)')
    parser.add_argument('--shard-size', type=int, default=128, help='items a file and a batch (default: 128)')
    parser.add_argument(
        '--dtype', choices=('float16', 'float32'), default='float16', help='in the files (default: float16)'
    )
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='where the encoders run'
    )
    parser.add_argument(
        '--workers', type=int, default=min(8, os.cpu_count() or 1), help='processes that read the data'
    )
    args = parser.parse_args()
    if min(args.views, args.shard_size) < 1 or args.workers < 0:
        parser.error('--views and --shard-size must be at least 1, --workers at least 0')
    return args


def main() -> int:
    args = parse_args()
    cfg = read_config(args.config)
    init_default_scope(cfg.get('default_scope', 'mmcggm'))
    done = set()
    for loader in filter(cfg.get, LOADERS):
        settings = cfg[loader].dataset
        if settings.type != 'CachedFeatureDataset':
            raise ValueError(
                f'`{loader}.dataset` of {args.config} is no CachedFeatureDataset: give a config that '
                'trains on features, such as configs/cggm/food101_cached.py.'
            )
        folder = Path(args.out or settings.data_root) / settings.split
        if folder in done:  # validated and tested on one split
            continue
        done.add(folder)
        written = write_features(
            FeatureCache(folder, settings.source, settings.backbones, settings.get('data_preprocessor')),
            views=args.views if loader == 'train_dataloader' else 1,
            shard_size=args.shard_size,
            dtype=args.dtype,
            device=args.device,
            workers=args.workers,
        )
        print(f'{written} files written: {folder}')
    return 0


if __name__ == '__main__':
    run_tool(main)
