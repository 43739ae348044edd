"""Which batches taught nothing, since their gradients were not finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner
from torch import Tensor

from mmcggm.engine.optim_wrapper import BalancingMixin
from mmcggm.registry import HOOKS

NAMES = ('case', 'id', 'sample_id', 'img_path', 'name')  # what data sets call a sample's name
SHOWN = 16  # samples in one warning


@HOOKS.register_module()
class NonFiniteGradientHook(Hook):
    """Warns of updates whose gradients were not finite, with their iterations and samples.

    The optimizer wrapper sets such gradients to zero (``zero_nonfinite``), so that one bad sample does not
    end a training; here is said which. Samples are named where the batch has their names. What is seen stays
    on the device until the next logged iteration, so nothing is synchronised for it.

    Our runner adds this hook to every training.

    Args:
        interval: Iterations between warnings. Default: the interval of the LoggerHook.
    """

    priority = 'NORMAL'  # before the LoggerHook

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval
        self._samples: list[str] = []
        self._updates: list[tuple[int, list[str], Tensor]] = []

    def before_train(self, runner: Runner) -> None:
        if self.interval is None:
            self.interval = next((h.interval for h in runner.hooks if isinstance(h, LoggerHook)), 1)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, BalancingMixin):
            return
        self._samples += sample_names(data_batch)
        if (nonfinite := wrapper.take_nonfinite()) is not None:
            self._updates.append((runner.iter + 1, self._samples, nonfinite))
            self._samples = []
        if len(self._updates) >= (self.interval or 1):
            self._report(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._report(runner)

    def _report(self, runner: Runner) -> None:
        if not self._updates:
            return
        found = torch.stack([nonfinite for _, _, nonfinite in self._updates]).tolist()
        updates = zip(self._updates, found, strict=True)
        bad = [(number, samples) for (number, samples, _), is_bad in updates if is_bad]
        self._updates = []
        if not bad:
            return
        names = [name for _, samples in bad for name in samples]
        more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
        runner.logger.warning(
            f'Gradients were not finite and became zero, so these batches taught nothing: {len(bad)} of '
            f'{len(found)} updates, in iterations {", ".join(str(number) for number, _ in bad[:SHOWN])}'
            + (f'; their samples are {", ".join(names[:SHOWN])}{more}.' if names else '.')
        )


def sample_names(batch: Any) -> list[str]:
    """Return the names of a batch's samples, ``[]`` if it has none.

    They are metainfo of its ``data_samples``, or a list of strings of its own, under one of :data:`NAMES`.
    """
    if not isinstance(batch, Mapping):
        return []
    for name in NAMES:
        if isinstance(batch.get(name), (list, tuple)):
            return [str(value) for value in batch[name]]
    metas = [getattr(sample, 'metainfo', {}) for sample in batch.get('data_samples') or ()]
    found = [next((meta[name] for name in NAMES if name in meta), None) for meta in metas]
    return [str(name) for name in found if name is not None]
