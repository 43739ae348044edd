"""What each modality's guide scores in validation and test."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmcggm.balancers.base import scores_from_counts
from mmcggm.registry import HOOKS

from .optim_wrapper import find_guided


@HOOKS.register_module()
class GuideScoreHook(Hook):
    """Adds ``guide/{modality}``, the score of each guide over the whole data set, to the metrics.

    It tells what each encoder has learnt: the task's score (:class:`~mmcggm.models.Task`) of a prediction
    from that modality alone. The model predicts as it would without; each guide then runs on the
    representation that appeared. The model must see a batch in one pass: one that cuts a volume into
    parts calls its encoders more than once, and the error says so.

    With several processes counts are summed, so a sample that a sampler repeats counts twice.
    """

    priority = 'HIGHEST'  # the hooks that log metrics come after it

    def __init__(self) -> None:
        self._pass = ExitStack()
        self._batch: dict[str, Tensor] = {}
        self._totals: dict[str, Tensor] = {}

    def before_run(self, runner: Runner) -> None:
        """Check that there are guides.

        Raises:
            TypeError: If the model has none.
        """
        find_guided(runner.model)

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self._totals = {}

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, mode: str = 'train'
    ) -> None:
        if mode == 'train':
            return
        self._pass.close()  # of an iteration that failed
        self._batch = self._pass.enter_context(find_guided(runner.model).judging_guides())

    @torch.no_grad()
    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
        mode: str = 'train',
    ) -> None:
        if mode == 'train':
            return
        self._pass.close()
        for modality, counts in self._batch.items():
            self._totals[modality] = self._totals.get(modality, 0) + counts

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._report(runner, metrics)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._report(runner, metrics)

    def _report(self, runner: Runner, metrics: dict[str, float] | None) -> None:
        modalities = find_guided(runner.model).modalities
        nothing = torch.zeros_like(next(iter(self._totals.values())))
        totals = torch.stack([self._totals.get(modality, nothing) for modality in modalities])
        all_reduce(totals)
        for modality, score in zip(modalities, scores_from_counts(totals).tolist(), strict=True):
            metrics[f'guide/{modality}'] = score
