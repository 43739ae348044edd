"""How fast a network trains on BraTS, beside the loop of MONAI's tutorials, on the same network and cases.

    python tools/analysis_tools/benchmark_training.py data/BraTS2021 data/brats --json training.json

Trains the network of a config with its batch size, patch or crop, losses and optimizer by

- monai: the loop of MONAI's tutorials, with a ``DataLoader`` of a ``CacheDataset`` that keeps normalised
  volumes in memory, and transforms that equal ours;
- plain: MMEngine's loop and our data set, with the network alone;
- guided: the same as the config has it, with guides and balancing.

Each reads in the process that trains, so that reading counts. They take turns of some steps. Time is that of
the process on its cores; a step lasts from the end of the one before, with all hooks, and the first two of a
turn don't count. A ratio is the median of the ratios within a turn. Needs the extra dev.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from mmcggm.benchmark.monai_cache import KEYS, cached_volumes, cases_in_both, cropped
from mmcggm.engine.launch import build_runner
from mmcggm.engine.settings import read_config
from mmcggm.registry import MODELS
from mmcggm.utils import import_optional
from mmcggm.utils.measured import add_json_argument, give
from mmcggm.utils.run_tool import run_tool

UNCOUNTED = 2
# The transforms of configs/_base_/datasets/brats.py, with MONAI's names.
OF_SLICES = (
    dict(type='SqueezeDimd', keys=KEYS, dim=-1),
    dict(type='RandRotate90d', keys=KEYS, prob=0.67, max_k=2),
    *(dict(type='RandFlipd', keys=KEYS, prob=0.5, spatial_axis=axis) for axis in (0, 1)),
    dict(type='RandGaussianNoised', keys='img', prob=0.1, std=0.1),
)


class StepClock(Hook):
    """Notes the time of the process at the end of each step."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.ends: list[float] = []

    def after_train_iter(self, *args, **kwargs) -> None:
        self.ends.append(time.process_time())


def plain(cfg: Config) -> Config:
    """Return a config of the network alone for the config of a guided one."""
    cfg = deepcopy(cfg)
    wrapper = cfg.optim_wrapper
    for key in ('constructor', 'guide_optimizer', 'balancer'):
        wrapper.pop(key)
    wrapper.type = 'OptimWrapper'
    cfg.model, cfg.custom_hooks = cfg.model.model, []
    return cfg


def by_mmengine(cfg: Config, store: Path, folder: str, steps: int) -> list[float]:
    """Train ``steps`` steps by MMEngine's loop, and return when each ended, in seconds of the process."""
    cfg = deepcopy(cfg)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.update(data_root=str(store), split='all')
    for name in ('val', 'test'):
        for part in ('dataloader', 'cfg', 'evaluator'):
            cfg[f'{name}_{part}'] = None
    cfg.param_scheduler = cfg.default_hooks.checkpoint = None
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps)
    cfg.work_dir, cfg.experiment_name = folder, f'{cfg.model.type}_{time.time_ns()}'
    runner = build_runner(cfg)
    clock = StepClock()
    runner.register_hook(clock)
    runner.train()
    return clock.ends


def by_monai(cfg: Config, cached: list[dict], steps: int) -> list[float]:
    """Train ``steps`` steps by the loop of MONAI's tutorials, and return when each ended."""
    data = crops(cfg, cached)
    draws = [index % len(data) for index in range(steps * cfg.train_dataloader.batch_size)]
    loader = DataLoader(
        data,
        cfg.train_dataloader.batch_size,
        sampler=draws,
        collate_fn=import_optional('monai.data', extra='dev').list_data_collate,
    )
    model = MODELS.build(cfg.model.model)
    model.train()
    settings = plain(cfg).optim_wrapper
    clipping = settings.get('clip_grad')
    optimizer = build_optim_wrapper(model, settings).optimizer
    modalities = cfg.model.model.backbone.modalities
    losses = model.decode_head.loss_decode
    losses = losses if isinstance(losses, torch.nn.ModuleList) else [losses]
    ends = []
    for batch in loader:
        inputs = dict(zip(modalities, batch['img'].split(1, dim=1), strict=True))
        labels = batch['gt_seg_map'].squeeze(1).long()
        labels[labels == 4] = 3  # the enhancing tumour until 2021
        optimizer.zero_grad()
        logits = model.encode_decode(inputs, [dict(img_shape=labels.shape[1:])] * len(labels))
        sum(loss(logits, labels) for loss in losses).backward()
        if clipping:
            torch.nn.utils.clip_grad_norm_(model.parameters(), **clipping)
        optimizer.step()
        ends.append(time.process_time())
    return ends


def crops(cfg: Config, cached: list[dict]) -> Sequence:
    """Return MONAI's data set for the pipeline of a config."""
    first, second, *_ = cfg.train_dataloader.dataset.pipeline
    if first.type == 'LoadBraTSPatch':
        return cropped(cached, first.patch_size, first.tumour, second.steps)
    return cropped(cached, (second.size, second.size, 1), 1.0, OF_SLICES)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='folder of the NIfTI files')
    parser.add_argument('store', type=Path, help='what the converter made of it')
    parser.add_argument(
        '--configs', nargs='+', default=['cggm/brats_unet_demo.py', 'cggm/brats_unet3d_small.py']
    )
    parser.add_argument('--cases', type=int, default=4, help='number of cases to use at most')
    parser.add_argument('--steps', type=int, default=12, help=f'steps of a turn (> {UNCOUNTED})')
    parser.add_argument('--turns', type=int, default=3)
    parser.add_argument('--threads', type=int, default=1, help='threads of torch')
    add_json_argument(parser)
    args = parser.parse_args()
    if args.steps <= UNCOUNTED or args.turns < 1:
        parser.error(f'--steps must be more than {UNCOUNTED}, and --turns at least 1')

    init_default_scope('mmcggm')
    torch.set_num_threads(args.threads)
    cases = cases_in_both(args.source, args.store, args.cases)
    cached = cached_volumes(cases)
    figures = dict(cases=[case.case for case in cases], threads=args.threads, torch=torch.__version__)
    with tempfile.TemporaryDirectory() as folder:
        for path in args.configs:
            cfg = read_config(path)
            contenders = dict(
                monai=lambda cfg=cfg: by_monai(cfg, cached, args.steps),
                plain=lambda cfg=cfg: by_mmengine(plain(cfg), args.store, folder, args.steps),
                guided=lambda cfg=cfg: by_mmengine(cfg, args.store, folder, args.steps),
            )
            figures[path] = compare(contenders, args.turns, cfg.train_dataloader.batch_size)
    give(figures, args.json)


def compare(contenders: dict[str, Callable[[], list[float]]], turns: int, batch_size: int) -> dict:
    """Let contenders take turns, and return the median of their steps and ratios of them."""
    medians: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, train in contenders.items():
            ends = train()[UNCOUNTED - 1 :]
            steps = [end - start for start, end in pairwise(ends)]
            medians[name].append(statistics.median(steps))

    def ratio(above: str, below: str) -> float:
        return statistics.median(a / b for a, b in zip(medians[above], medians[below], strict=True))

    step = {name: statistics.median(values) for name, values in medians.items()}
    return dict(
        median_ms={name: 1e3 * value for name, value in step.items()},
        samples_per_s={name: batch_size / value for name, value in step.items()},
        plain_to_monai=ratio('plain', 'monai'),
        guided_to_plain=ratio('guided', 'plain'),
    )


if __name__ == '__main__':
    run_tool(main)
