"""How much faster an epoch of Food-101 is on cached features, side by side in one run.

    python tools/analysis_tools/benchmark_feature_cache.py --json cache.json
    python tools/analysis_tools/benchmark_feature_cache.py --width 192 --items 128    # small encoders

Times epochs, update included, of ``configs/cggm/food101.py`` and ``food101_cached.py``, and of reading
their data alone. The data is synthetic, in Food-101's format: JPEG files of 512 x 384 pixels and texts of
30 words. ViT and BERT have random weights and the published structure; --width makes them narrower, while
the model on top of them, which both contenders train, stays as published. The contenders take turns, time
is the wall's, and a ratio is the median of the ratios within a turn. On a CPU, other processes count.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image
from torch.utils.data import DataLoader
from transformers import BertConfig, BertModel, BertTokenizerFast, ViTConfig, ViTModel

from mmcggm.datasets.feature_cache.dataset import FeatureCache
from mmcggm.datasets.feature_cache.writer import write_features
from mmcggm.datasets.food101.dataset import Food101Dataset
from mmcggm.registry import MODELS
from mmcggm.utils.measured import add_json_argument, give
from mmcggm.utils.run_tool import run_tool

CONFIGS = Path(__file__).parents[2] / 'configs' / 'cggm'
SIZE = (384, 512)  # of the images
WORDS = 30


@dataclass
class Contender:
    """A data loader, a model and its optimizer wrapper."""

    loader: DataLoader
    model: BaseModel
    optim_wrapper: OptimWrapper

    def epoch(self) -> None:
        for batch in self.loader:
            self.model.train_step(batch, self.optim_wrapper)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def read(self) -> None:
        for _ in self.loader:
            pass


def write_data(folder: Path, items: int) -> None:
    """Write images that compress as photographs do, and texts."""
    rng = np.random.default_rng(0)
    classes = Food101Dataset.METAINFO['classes']
    (folder / 'images').mkdir(parents=True)
    entries = []
    for index in range(items):
        path = f'images/{index}.jpg'
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)).resize(SIZE[::-1])
        noise = rng.integers(-12, 13, (*SIZE, 3))
        Image.fromarray((np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8)).save(folder / path)
        words = [f'word{word}' for word in rng.integers(0, 1000, WORDS)]
        entries.append(dict(id=index, text_tokens=words, img_path=path, label=classes[index % 101]))
    (folder / 'train.json').write_text(json.dumps(entries), encoding='utf-8')


def write_models(folder: Path, width: int) -> None:
    """Write a ViT and a BERT of the published structure, ``width`` channels wide."""
    structure = dict(hidden_size=width, intermediate_size=4 * width, num_attention_heads=max(1, width // 64))
    BertModel(BertConfig(**structure)).save_pretrained(folder / 'bert')
    ViTModel(ViTConfig(**structure)).save_pretrained(folder / 'vit')
    vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *(f'word{index}' for index in range(1000))]
    (folder / 'bert' / 'vocab.txt').write_text('\n'.join(vocabulary) + '\n', encoding='utf-8')
    BertTokenizerFast.from_pretrained(str(folder / 'bert')).save_pretrained(folder / 'bert')


def load(name: str, folder: Path, args: argparse.Namespace) -> Config:
    """Return a config that reads what was written."""
    cfg = Config.fromfile(CONFIGS / name)
    dataset = cfg.train_dataloader.dataset
    encoders = cfg.model.model.backbone.encoders
    if 'source' in dataset:
        dataset.data_root = str(folder / 'features')
        backbones, source = dataset.backbones, dataset.source
        for encoder in encoders.values():
            encoder.in_channels = args.width
    else:
        backbones, source = {m: encoder.backbone for m, encoder in encoders.items()}, dataset
    backbones['image'].path, backbones['text'].path = str(folder / 'vit'), str(folder / 'bert')
    source.update(data_root=str(folder), tokenizer=str(folder / 'bert'))
    cfg.train_dataloader.update(
        batch_size=args.batch_size, num_workers=args.workers, persistent_workers=args.workers > 0
    )
    return cfg


def build(cfg: Config) -> Contender:
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model = model.to('cuda' if torch.cuda.is_available() else 'cpu').train()
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    return Contender(loader, model, build_optim_wrapper(model, cfg.optim_wrapper))


def time_in_turns(contenders: dict[str, Contender], turns: int) -> dict[str, list[float]]:
    """Return seconds an epoch, and of reading its data, of each contender and turn."""
    seconds: dict[str, list[float]] = {}
    for turn in range(-1, turns):  # one turn warms up
        for name, contender in contenders.items():
            for action in (contender.epoch, contender.read):
                start = time.perf_counter()
                action()
                if turn >= 0:
                    key = name if action == contender.epoch else f'{name}_reading'
                    seconds.setdefault(key, []).append(time.perf_counter() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--items', type=int, default=64, help='of the data set (default: 64)')
    parser.add_argument('--width', type=int, default=768, help='channels of ViT and BERT (default: 768)')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--workers', type=int, default=0, help='processes that read the data (default: 0)')
    parser.add_argument('--turns', type=int, default=3, help='epochs of each (default: 3)')
    add_json_argument(parser)
    args = parser.parse_args()

    init_default_scope('mmcggm')
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_data(folder, args.items)
        write_models(folder, args.width)
        plain, cached = (load(name, folder, args) for name in ('food101.py', 'food101_cached.py'))
        dataset = cached.train_dataloader.dataset
        cache = FeatureCache(
            folder / 'features' / 'train', dataset.source, dataset.backbones, dataset.data_preprocessor
        )
        start = time.perf_counter()
        write_features(cache, device='cuda' if torch.cuda.is_available() else 'cpu', workers=args.workers)
        caching = time.perf_counter() - start
        seconds = time_in_turns(dict(plain=build(plain), cached=build(cached)), args.turns)
    ratios = [a / b for a, b in zip(seconds['plain'], seconds['cached'], strict=True)]
    figures = dict(
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU',
        threads=torch.get_num_threads(),
        items=args.items,
        width=args.width,
        batch_size=args.batch_size,
        seconds_an_epoch={name: statistics.median(values) for name, values in seconds.items()},
        seconds_to_cache_a_view=caching,
        plain_to_cached=statistics.median(ratios),
    )
    give(figures, args.json)


if __name__ == '__main__':
    run_tool(main)
