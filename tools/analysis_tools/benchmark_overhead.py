"""What balancing adds to a training step, in time and memory, side by side in one run.

    python tools/analysis_tools/benchmark_overhead.py --json overhead.json

Times a whole training step, update included, of

- plain: the model alone;
- guides: the model and its guides, nothing balanced;
- cggm: CGGM with both its parts;
- cggm_without_direction: CGGM without the direction term;
- cggm_with_linear_guides: CGGM with guides that are linear,

for the paper's transformer for CMU-MOSI (batch 64, 50 time steps), the U-Net of
``configs/cggm/brats_unet.py`` (batch 4, 160 x 160; on a CPU with the demo's channels, unless --full) and that
of ``configs/cggm/brats_unet3d_small.py`` (batch 2, 64 x 64 x 64; ``brats_unet3d.py``, 128³, with --full).
All data is synthetic: random numbers. The contenders take turns, and a ratio is the median of the
ratios within a turn. On a CPU, time is that of the process on its cores, so that other processes count
little; on a GPU it is the wall's. Memory is the peak of a step, weights and optimizer state included,
as torch's allocator counts it.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmcggm.benchmark.measure import peak_bytes, time_in_turns
from mmcggm.registry import MODELS
from mmcggm.utils.measured import add_json_argument, give
from mmcggm.utils.run_tool import run_tool

CONFIGS = Path(__file__).parents[2] / 'configs'
RATIOS = dict(
    guides_to_plain=('guides', 'plain'),
    cggm_to_guides=('cggm', 'guides'),
    cggm_without_direction_to_guides=('cggm_without_direction', 'guides'),
    cggm_with_linear_guides_to_plain=('cggm_with_linear_guides', 'plain'),
)


@dataclass
class Subject:
    """What is timed.

    Attributes:
        guided: Config of the guided model.
        linear_guide: Config of a linear guide for it.
        optim_wrapper: Config of the optimizer wrapper that balances it.
        data: A batch, as the model's ``train_step`` takes it.
    """

    guided: dict
    linear_guide: dict
    optim_wrapper: dict
    data: dict


def mosi(device: torch.device, full: bool) -> Subject:
    cfg = Config.fromfile(CONFIGS / '_base_' / 'models' / 'mosi_transformer.py')
    guided = dict(
        type='GuidedModel',
        model=cfg.model,
        encoders={modality: f'backbone.encoders.{modality}' for modality in cfg.modalities},
        head='head',
        guide=cfg.guide,
        task=dict(type='RegressionTask', target='labels'),
    )
    optim_wrapper = dict(
        type='BalancedOptimWrapper',
        constructor='GuidedOptimWrapperConstructor',
        optimizer=dict(type='Adam', lr=1e-3),
        guide_optimizer=dict(type='Adam', lr=5e-4),
        clip_grad=dict(max_norm=0.8),
        balancer=dict(type='CGGM', rho=1.3, lam=0.2),
    )
    inputs = {name: torch.randn(64, 50, width, device=device) for name, width in cfg.channels.items()}
    data = dict(inputs=inputs, labels=6 * torch.rand(64, device=device) - 3)
    return Subject(guided, dict(type='AutoGuide', depth=0), optim_wrapper, data)


def brats(device: torch.device, full: bool) -> Subject:
    cfg = Config.fromfile(CONFIGS / 'cggm' / f'brats_unet{"" if full else "_demo"}.py')
    return segmentation(cfg, torch.randint(0, 4, (4, 1, 160, 160), device=device), (160, 160))


def brats3d(device: torch.device, full: bool) -> Subject:
    cfg = Config.fromfile(CONFIGS / 'cggm' / f'brats_unet3d{"" if full else "_small"}.py')
    return segmentation(cfg, torch.randint(0, 4, (2, *cfg.patch_size), device=device), cfg.patch_size)


def segmentation(cfg: Config, labels: torch.Tensor, size: Sequence[int]) -> Subject:
    """Return a subject that segments, with random inputs of a size for the labels of a batch, ``(N, *)``."""
    said = dict(present=dict.fromkeys(cfg.modalities, True))
    shape = (len(labels), 1, *size)
    data = dict(
        inputs={modality: torch.randn(shape, device=labels.device) for modality in cfg.modalities},
        data_samples=[SegDataSample(metainfo=said, gt_sem_seg=PixelData(data=label)) for label in labels],
    )
    return Subject(cfg.model, dict(type='AutoGuide', depth=0), cfg.optim_wrapper, data)


SUBJECTS = dict(mosi=mosi, brats=brats, brats3d=brats3d)


class Contender(NamedTuple):
    """A model and its optimizer wrapper."""

    model: BaseModel
    optim_wrapper: OptimWrapper

    def step(self, data: dict) -> None:
        self.model.train_step(data, self.optim_wrapper)


def contenders(subject: Subject, device: torch.device) -> dict[str, Contender]:
    """Build the contenders, all with the same seed."""
    balancer = subject.optim_wrapper['balancer']
    linear = {**subject.guided, 'guide': subject.linear_guide}
    plain = {**subject.optim_wrapper, 'type': 'OptimWrapper'}
    for key in ('constructor', 'guide_optimizer', 'balancer'):
        del plain[key]

    def with_balancer(balancer: dict | None) -> dict:
        return {**subject.optim_wrapper, 'balancer': balancer}

    variants = dict(
        plain=(subject.guided['model'], plain),
        guides=(subject.guided, with_balancer(None)),
        cggm=(subject.guided, with_balancer(balancer)),
        cggm_without_direction=(subject.guided, with_balancer({**balancer, 'direction': 'none'})),
        cggm_with_linear_guides=(linear, with_balancer(balancer)),
    )
    built = {}
    for name, (model_cfg, wrapper_cfg) in variants.items():
        torch.manual_seed(0)
        model = MODELS.build(model_cfg).to(device).train()
        built[name] = Contender(model, build_optim_wrapper(model, wrapper_cfg))
    return built


def measure(subject: Subject, device: torch.device, iters: int) -> dict:
    """Return the figures of one model."""
    built = contenders(subject, device)
    steps = {name: partial(contender.step, subject.data) for name, contender in built.items()}
    times = time_in_turns(steps, device, iters)
    peaks = {name: peak_bytes(steps[name], *contender, device) for name, contender in built.items()}
    ratios = {
        name: [a / b for a, b in zip(times[above], times[below], strict=True)]
        for name, (above, below) in RATIOS.items()
    }
    return dict(
        median_ms={name: 1e3 * statistics.median(values) for name, values in times.items()},
        time_ratios={name: statistics.median(values) for name, values in ratios.items()},
        time_ratio_quartiles={name: statistics.quantiles(values)[::2] for name, values in ratios.items()},
        peak_mib={name: peak / 2**20 for name, peak in peaks.items()},
        peak_ratios={name: peaks[above] / peaks[below] for name, (above, below) in RATIOS.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', choices=(*SUBJECTS, 'all'), default='all')
    parser.add_argument('--iters', type=int, default=20, help='steps of each contender that count (>= 2)')
    parser.add_argument('--device', type=torch.device, default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch on a CPU')
    parser.add_argument('--full', action='store_true', help="all of the U-Net's channels also on a CPU")
    add_json_argument(parser)
    args = parser.parse_args()
    if args.iters < 2:
        parser.error(f'--iters must be at least 2, got {args.iters}')

    init_default_scope('mmcggm')
    torch.set_num_threads(args.threads)
    on_cpu = args.device.type == 'cpu'
    names = SUBJECTS if args.model == 'all' else [args.model]
    figures = dict(
        data='synthetic',
        device='cpu' if on_cpu else torch.cuda.get_device_name(args.device),
        threads=args.threads,
        torch=torch.__version__,
        iters=args.iters,
        full=args.full or not on_cpu,
        **{
            name: measure(SUBJECTS[name](args.device, args.full or not on_cpu), args.device, args.iters)
            for name in names
        },
    )
    give(figures, args.json)


if __name__ == '__main__':
    run_tool(main)
