"""A small training in which everything that can be random is: data, dropout, shuffling."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmcggm.engine.runner import BalancedRunner
from mmcggm.registry import DATASETS, HOOKS, MODELS
from tests.tiny import TinyClassifier, TinyData, default_collate, tiny_runner, wrapper_config

EPOCHS, BATCHES, BATCH = 3, 5, 8  # the last batch of an epoch is smaller
ITERATIONS = EPOCHS * BATCHES
GUIDED = dict(
    type='GuidedModel',
    model=dict(type='DroppingClassifier'),
    encoders=dict(left='left_encoder', right='right_encoder'),
    head='classifier',
    guide=dict(type='TinyGuide'),
    task=dict(type='ClassificationTask', target='label'),
)


@DATASETS.register_module()
class RandomData(TinyData):
    """Draws noise from all three generators, as strangers' data sets and transforms do."""

    def __init__(self, size: int = BATCHES * BATCH - 4) -> None:
        super().__init__(size)

    def __getitem__(self, index: int) -> dict:
        item = super().__getitem__(index)
        noise = random.random() + np.random.normal() + torch.randn(4)  # noqa: NPY002
        return {**item, 'left': item['left'] + 0.3 * noise.float()}


@MODELS.register_module()
class DroppingClassifier(TinyClassifier):
    """A TinyClassifier with dropout and batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.left_encoder = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3))


@HOOKS.register_module()
class DyingHook(Hook):
    """Lets the second process die, once: it is killed, or raises an error.

    Args:
        iteration: After how many iterations.
        witness: Path of a file that is made, so that it dies but once.
        error: What it says; by default it is killed.
    """

    priority = 'LOWEST'

    def __init__(self, iteration: int, witness: str, error: str | None = None) -> None:
        self.iteration = iteration
        self.witness = Path(witness)
        self.error = error

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        if runner.iter + 1 != self.iteration or runner.rank != 1 or self.witness.exists():
            return
        self.witness.touch()
        if self.error is not None:
            raise ValueError(self.error)
        os.kill(os.getpid(), signal.SIGKILL)


def loader(data: TinyData, workers: int = 0, persistent: bool = False, **settings) -> dict:
    """Return the config of a loader that shuffles."""
    return dict(
        dataset=data,
        batch_size=BATCH,
        num_workers=workers,
        persistent_workers=persistent,
        collate_fn=default_collate,
        **{'sampler': dict(type='DefaultSampler', shuffle=True), **settings},
    )


def begin_training(folder: Path, interval: int, hooks: list[Hook], **overrides) -> BalancedRunner:
    """Return a runner that begins a training in ``folder``, or goes on with it."""
    settings = dict(
        model=GUIDED,
        train_dataloader=loader(RandomData()),
        max_epochs=EPOCHS,
        optim_wrapper=wrapper_config(balancer=dict(type='CGGM', progress='SmoothedProgress')),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=2),
            checkpoint=dict(type='CheckpointHook', interval=interval, by_epoch=False, max_keep_ckpts=1),
        ),
        hooks=[dict(type='BalancingHook'), *hooks],
        resume=True,
    )
    return tiny_runner(folder, **{**settings, **overrides})
