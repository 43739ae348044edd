"""A test in which nothing is segmented in any case says so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcggm.evaluation.brats.tumour_count import TumourCount
from mmcggm.registry import HOOKS


@HOOKS.register_module()
class TumourCountHook(Hook):
    """Warns after a test if a segmentor predicted each case of all processes as background alone, or NaN.

    Validations are left out: early in a training this is as it should be, and their Dice tells. Models that
    predict something else than segmentations are none of its business.
    """

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin to count."""
        self._count = TumourCount()

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Count the cases of a batch; what a model of another kind gives may be anything."""
        for sample in outputs if isinstance(outputs, Sequence) else ():
            if (found := getattr(sample, 'pred_sem_seg', None)) is not None:
                truth = getattr(sample, 'gt_sem_seg', None)
                finite = getattr(sample, 'finite', True)
                self._count.add(found.data, None if truth is None else truth.data, finite)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Warn, by the counts of all processes."""
        count = self._count
        total = torch.tensor(astuple(count))
        all_reduce(total)
        if warning := TumourCount(*total.tolist()).warning():
            runner.logger.log(logging.WARNING, warning)
