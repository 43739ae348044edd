"""How fast the model of CMU-MOSI trains, side by side in one run.

    python tools/analysis_tools/benchmark_sequence.py --json sequence.json

Prints

- the time of a training step, update included, of ``configs/baseline/cmu_mosi.py``'s model, without
  balancing, and of the same model in plain PyTorch around ``nn.TransformerEncoder``: the same widths,
  layers, rates of dropout, clipping and optimizer, with padding masks and without. The contenders take
  turns, time is that of the process, and a ratio is the median of the ratios within a turn;
- how busy MMEngine's training loop is with that config: the share of the time in which it doesn't wait
  for data, from the second step on (in the first, worker processes start), with the pickle and with
  what ``tools/dataset_converters/sentiment.py`` makes of it.

All data is synthetic: random numbers in the shapes of CMU-MOSI.
"""

import argparse
import pickle
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor, nn

from mmcggm.benchmark.measure import time_in_turns
from mmcggm.datasets.sentiment.converter import convert_pickle
from mmcggm.models.encoders.sequence import sinusoidal_positions
from mmcggm.registry import MODELS
from mmcggm.structures.sequences import padding_mask
from mmcggm.utils.measured import add_json_argument, give
from mmcggm.utils.run_tool import run_tool

CONFIG = Path(__file__).parents[2] / 'configs' / 'baseline' / 'cmu_mosi.py'
LENGTH = 50


class PlainTransformer(nn.Module):
    """``nn.TransformerEncoder`` on tokens with positions from a table."""

    def __init__(self, num_layers: int, max_length: int, transformer: dict) -> None:
        super().__init__()
        dim = transformer['dim']
        layer = nn.TransformerEncoderLayer(
            dim,
            transformer['num_heads'],
            4 * dim,
            transformer['residual_dropout'],
            batch_first=True,
            norm_first=True,
        )
        layer.self_attn.dropout = transformer['attention_dropout']
        layer.dropout.p = transformer['relu_dropout']
        self.layers = nn.TransformerEncoder(layer, num_layers, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.dropout = nn.Dropout(transformer['embed_dropout'])
        positions = sinusoidal_positions(torch.arange(max_length), dim)
        self.register_buffer('positions', positions, persistent=False)

    def forward(self, tokens: Tensor, padding: Tensor | None) -> Tensor:
        if padding is None:
            positions = self.positions[: tokens.shape[1]]
        else:
            positions = self.positions[(~padding).cumsum(dim=1) - 1]
        x = self.dropout(tokens * tokens.shape[2] ** 0.5 + positions)
        return self.layers(x, src_key_padding_mask=padding)


class PlainModel(nn.Module):
    """The model in plain PyTorch; its parameters are those of ours, in their order."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        dim = cfg.transformer['dim']
        self.encoders = nn.ModuleDict(
            {
                modality: nn.ModuleList(
                    [nn.Linear(width, dim), PlainTransformer(cfg.layers, LENGTH, cfg.transformer)]
                )
                for modality, width in cfg.channels.items()
            }
        )
        self.fusion = PlainTransformer(cfg.layers - 2, LENGTH * len(cfg.channels), cfg.transformer)
        out_dropout = cfg.model.backbone.fusion.out_dropout
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(out_dropout), nn.Linear(dim, dim))
        self.head = nn.Linear(dim, cfg.model.outputs)

    def forward(self, inputs: dict[str, Tensor], lengths: dict[str, Tensor] | None = None) -> Tensor:
        tokens, paddings = [], []
        for modality, (projection, transformer) in self.encoders.items():
            x, padding = inputs[modality], None
            if lengths is not None:
                padding = padding_mask(lengths[modality], x.shape[1])
                paddings.append(padding)
            tokens.append(transformer(projection(x), padding))
        padding = torch.cat(paddings, dim=1) if paddings else None
        first = self.fusion(torch.cat(tokens, dim=1), padding)[:, 0]
        return self.head(first + self.mlp(first))


def random_batch(cfg: Config, batch_size: int, padded: bool) -> dict:
    """Return a batch as the model's ``train_step`` takes it."""
    inputs = {m: torch.randn(batch_size, LENGTH, width) for m, width in cfg.channels.items()}
    labels = 6 * torch.rand(batch_size) - 3
    if not padded:
        return dict(inputs=inputs, labels=labels)
    lengths = {m: torch.randint(1, LENGTH + 1, (batch_size,)) for m in inputs}
    return dict(inputs=inputs, labels=labels, lengths=lengths)


def models(cfg: Config) -> tuple[nn.Module, PlainModel]:
    """Return our model and the plain one, with the same weights."""
    torch.manual_seed(0)
    ours = MODELS.build({**cfg.model, 'mask_padding': True})
    plain = PlainModel(cfg)
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict().values(), strict=True)))
    return ours.train(), plain.train()


def steps(cfg: Config, data: dict) -> dict[str, Callable[[], None]]:
    """Return a training step of each contender."""
    ours, plain = models(cfg)
    wrapper = build_optim_wrapper(ours, cfg.optim_wrapper)
    optimizer = torch.optim.Adam(plain.parameters(), lr=cfg.optim_wrapper.optimizer.lr)

    def step_plain() -> None:
        prediction = plain(data['inputs'], data.get('lengths'))
        loss = nn.functional.l1_loss(prediction, data['labels'].unsqueeze(1))
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), cfg.optim_wrapper.clip_grad.max_norm)
        optimizer.step()
        optimizer.zero_grad()

    return dict(plain=step_plain, ours=lambda: ours.train_step(data, wrapper))


def step_times(cfg: Config, batch_size: int, iters: int) -> dict:
    """Return the figures of training steps."""
    figures = {}
    for name, padded in (('masked', True), ('unmasked', False)):
        contenders = steps(cfg, random_batch(cfg, batch_size, padded))
        times = time_in_turns(contenders, torch.device('cpu'), iters)
        ratios = [ours / plain for ours, plain in zip(times['ours'], times['plain'], strict=True)]
        figures[name] = dict(
            median_ms={contender: 1e3 * statistics.median(values) for contender, values in times.items()},
            ours_to_plain=statistics.median(ratios),
            ours_to_plain_quartiles=statistics.quantiles(ratios)[::2],
        )
    return figures


class StepClock(Hook):
    """Collects how long each step took and how long it waited for data, as ``IterTimerHook`` has them."""

    priority = 'LOW'  # after IterTimerHook

    def __init__(self) -> None:
        self.seconds: list[tuple[float, float]] = []

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        scalars = (runner.message_hub.get_scalar(f'train/{name}') for name in ('time', 'data_time'))
        self.seconds.append(tuple(scalar.current() for scalar in scalars))

    def busy_share(self) -> float:
        """Return the share of the time that was not spent waiting, from the second step on."""
        total, waiting = np.sum(self.seconds[1:], axis=0)
        return float(1 - waiting / total)


def write_files(cfg: Config, folder: Path, samples: int) -> list[str]:
    """Write a training split in the published format and convert it; return the files' names."""
    rng = np.random.default_rng(0)
    split = {m: rng.normal(size=(samples, LENGTH, w)).astype(np.float32) for m, w in cfg.channels.items()}
    split['labels'] = rng.uniform(-3, 3, (samples, 1, 1)).astype(np.float32)
    (folder / 'mosi.pkl').write_bytes(pickle.dumps(dict(train=split), protocol=4))
    convert_pickle(folder / 'mosi.pkl', folder / 'mosi.h5')
    return ['mosi.pkl', 'mosi.h5']


def busy_share(cfg: Config, folder: Path, file: str, epochs: int) -> float:
    """Train by the config on a file, without validation, and return how busy the loop was."""
    cfg = cfg.copy()
    cfg.train_dataloader.dataset.update(data_root=str(folder), ann_file=file)
    cfg.train_cfg.max_epochs = epochs
    for name in ('val', 'test'):
        for part in ('dataloader', 'cfg', 'evaluator'):
            cfg[f'{name}_{part}'] = None
    cfg.param_scheduler = None  # it watches the validation
    cfg.default_hooks.checkpoint = None
    cfg.update(work_dir=str(folder / 'work_dir'), experiment_name=file)
    runner = Runner.from_cfg(cfg)
    clock = StepClock()
    runner.register_hook(clock)
    runner.train()
    return clock.busy_share()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--iters', type=int, default=20, help='steps of each contender that count (>= 2)')
    parser.add_argument('--epochs', type=int, default=2, help='epochs of the training loop')
    parser.add_argument('--samples', type=int, default=1284, help='samples in an epoch (> the batch size)')
    parser.add_argument('--batch-size', type=int, help="default: the config's")
    parser.add_argument('--workers', type=int, help="processes that read, default: the config's")
    parser.add_argument('--threads', type=int, default=1, help='threads of torch')
    add_json_argument(parser)
    args = parser.parse_args()

    init_default_scope('mmcggm')
    torch.set_num_threads(args.threads)
    cfg = Config.fromfile(CONFIG)
    loader = cfg.train_dataloader
    loader.batch_size = args.batch_size or loader.batch_size
    if args.workers is not None:
        loader.update(num_workers=args.workers, persistent_workers=args.workers > 0)
    if args.iters < 2 or args.epochs < 1 or args.samples <= loader.batch_size:
        parser.error('--iters must be at least 2, --epochs 1, and --samples more than the batch size')

    figures = dict(
        data='synthetic',
        threads=args.threads,
        workers=loader.num_workers,
        torch=torch.__version__,
        iters=args.iters,
        batch_size=loader.batch_size,
        step=step_times(cfg, loader.batch_size, args.iters),
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        files = write_files(cfg, folder, args.samples)
        figures['busy_share'] = {
            Path(file).suffix[1:]: busy_share(cfg, folder, file, args.epochs) for file in files
        }
    give(figures, args.json)


if __name__ == '__main__':
    run_tool(main)
