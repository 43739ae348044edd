"""What each modality's guide scores in validation and test."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor

from mmcggm.balancers import scores_from_counts
from mmcggm.engine.optim_wrapper import BalancingMixin, find_guided
from mmcggm.guided.guided_pass import GuidedPass
from mmcggm.registry import HOOKS


@HOOKS.register_module()
class GuideScoreHook(Hook):
    """Adds ``guide/{modality}``, the score of each guide over the whole data set, to the metrics.

    It tells what each encoder has learnt: the task's score (:class:`~mmcggm.guided.Task`) of a prediction
    from that modality alone. The model predicts as it would without; each guide then runs on the
    representation that appeared. The model must see a batch in one pass: one that cuts a volume into
    parts calls its encoders more than once, and the error says so.

    Where the balancer needs losses, ``guide_loss/{modality}`` and ``fused_loss``, the task's loss of the
    head's output, are added in validation. A balancer that needs to see the validation is told.

    A checkpoint of an epoch is saved before the epoch is validated. Where the balancer needs to see the
    validation, a resumed training begins with the one that the checkpoint lacks.

    With several processes counts are summed, so a sample that a sampler repeats counts twice.
    """

    priority = 'HIGHEST'  # the hooks that log metrics come after it

    def __init__(self) -> None:
        self._watch = ExitStack()
        self._seen: GuidedPass | None = None
        self._scores: Tensor | None = None  # counts (M, K, 2) of the data set so far
        self._losses: Tensor | None = None  # of guides and fused model, (M + 1, 1, 2)
        self._validated_at: int | None = None  # iteration

    def before_run(self, runner: Runner) -> None:
        """Check that there are guides.

        Raises:
            TypeError: If the model has none.
        """
        find_guided(runner.model)

    def before_train_epoch(self, runner: Runner) -> None:
        loop = runner.train_loop
        done = loop.epoch if isinstance(loop, EpochBasedTrainLoop) else loop.iter
        due = done > 0 and done >= loop.val_begin and done % loop.val_interval == 0
        if due and needs_validation(runner) and runner.val_loop and self._validated_at != runner.iter:
            runner.val_loop.run()

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self._scores = self._losses = None

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, mode: str = 'train'
    ) -> None:
        if mode == 'train':
            return
        self._watch.close()  # of an iteration that failed
        self._seen = self._watch.enter_context(find_guided(runner.model).watch())

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
        self._watch.close()
        seen, self._seen = self._seen, None
        self._scores = seen.counts() + (0 if self._scores is None else self._scores)
        if mode == 'val' and needs_validation(runner) == 'losses':
            self._losses = seen.loss_counts() + (0 if self._losses is None else self._losses)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        modalities = find_guided(runner.model).modalities
        scores = _over_processes(self._scores)
        losses = None if self._losses is None else _over_processes(self._losses)
        metrics.update(zip((f'guide/{m}' for m in modalities), scores, strict=True))
        if losses is not None:
            names = [*(f'guide_loss/{m}' for m in modalities), 'fused_loss']
            metrics.update(zip(names, losses, strict=True))
        if needs_validation(runner):
            runner.optim_wrapper.balancer.see_validation(scores, losses)
        self._validated_at = runner.iter

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        modalities = find_guided(runner.model).modalities
        metrics.update(zip((f'guide/{m}' for m in modalities), _over_processes(self._scores), strict=True))


def _over_processes(counts: Tensor) -> list[float]:
    """Return the scores of ``counts``, over all processes."""
    totals = counts.clone()
    all_reduce(totals)
    return scores_from_counts(totals).tolist()


def needs_validation(runner: Runner) -> str | None:
    """Return what the balancer of ``runner``, if it trains with one, must see of the validation set."""
    wrapper = runner.optim_wrapper
    balancer = wrapper.balancer if isinstance(wrapper, BalancingMixin) else None
    return None if balancer is None else balancer.needs.validation
