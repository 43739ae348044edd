"""The measurement of what a method costs beside the baseline, in a process of its own."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmcggm.engine.launch import build_runner
from mmcggm.utils.atomic import replacing
from mmcggm.utils.processes import end_with_parent, redirect_output

from .measure import peak_bytes, time_in_turns
from .results import CONFIG, COST_FILE, COST_LOG


@LOOPS.register_module()
class StepwiseLoop(EpochBasedTrainLoop):
    """A training that stands at the beginning of its first epoch: each call of ``step`` goes one on."""

    def run(self) -> None:
        """Begin."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self._batch = next(iter(self.dataloader))

    def step(self) -> None:
        """Do an iteration, hooks included, always of the same batch."""
        self.run_iter(0, self._batch)


def measure_in_process(folder: Path, baseline: Path, fingerprints: Sequence[str], turns: int) -> None:
    """Measure a run's training step beside the baseline's, and write the ratios into its folder.

    Step time is the median of the ratios of steps that take turns, each with its hooks; memory that of a
    step, weights and optimizer state included. Epochs that a method adds don't show here.

    Args:
        folder: Of the method's run, finished.
        baseline: Of the baseline's run, finished.
        fingerprints: Of both.
        turns: Steps of each that count.
    """
    end_with_parent()
    redirect_output(folder / COST_LOG)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        runners = {
            name: _begun(Config.fromfile(path / CONFIG), f'{scratch}/{name}')
            for name, path in (('method', folder), ('baseline', baseline))
        }
        steps = {name: runner.train_loop.step for name, runner in runners.items()}
        device = next(runners['method'].model.parameters()).device
        times = time_in_turns(steps, device, turns)
        peaks = {
            name: peak_bytes(steps[name], runner.model, runner.optim_wrapper, device)
            for name, runner in runners.items()
        }
    ratios = [a / b for a, b in zip(times['method'], times['baseline'], strict=True)]
    content = dict(
        fingerprints=list(fingerprints),
        step_time=statistics.median(ratios),
        memory=peaks['method'] / peaks['baseline'],
    )
    with replacing(folder / COST_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def _begun(cfg: Config, work_dir: str) -> Runner:
    cfg.work_dir, cfg.launcher = work_dir, 'none'
    cfg.train_cfg = {**{k: v for k, v in cfg.train_cfg.items() if k != 'by_epoch'}, 'type': 'StepwiseLoop'}
    runner = build_runner(cfg)
    runner.train()
    return runner
