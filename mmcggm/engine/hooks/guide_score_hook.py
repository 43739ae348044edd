"""What each modality's guide scores in validation and test."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
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

    With several processes counts are summed, so a sample that a sampler repeats counts twice.
    """

    priority = 'HIGHEST'  # the hooks that log metrics come after it

    def __init__(self) -> None:
        self._watch = ExitStack()
        self._counts: dict[str, Tensor] = {}  # of the data set so far

    def before_run(self, runner: Runner) -> None:
        """Check that there are guides.

        Raises:
            TypeError: If the model has none.
        """
        find_guided(runner.model)

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self._counts = {}

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, mode: str = 'train'
    ) -> None:
        if mode == 'train':
            return
        self._watch.close()  # of an iteration that failed
        self._seen: GuidedPass = self._watch.enter_context(find_guided(runner.model).watch())

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
        self._count('scores', self._seen.counts())
        if mode == 'val' and needs_validation(runner) == 'losses':
            self._count('losses', self._seen.loss_counts())
        del self._seen  # with all that the pass holds

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        modalities = find_guided(runner.model).modalities
        scores, losses = self._over_processes('scores'), None
        _add(metrics, (f'guide/{m}' for m in modalities), scores)
        if 'losses' in self._counts:
            losses = self._over_processes('losses')
            _add(metrics, [*(f'guide_loss/{m}' for m in modalities), 'fused_loss'], losses)
        if needs_validation(runner):
            runner.optim_wrapper.balancer.see_validation(scores, losses)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        modalities = find_guided(runner.model).modalities
        _add(metrics, (f'guide/{m}' for m in modalities), self._over_processes('scores'))

    def _count(self, name: str, counts: Tensor) -> None:
        self._counts[name] = counts + self._counts[name] if name in self._counts else counts

    def _over_processes(self, name: str) -> list[float]:
        """Return what ``name`` comes to over all processes: a value a modality."""
        totals = self._counts[name].clone()
        all_reduce(totals)
        return scores_from_counts(totals).tolist()


def _add(metrics: dict[str, float] | None, names: Iterable[str], values: list[float]) -> None:
    if metrics is not None:
        metrics.update(zip(names, values, strict=True))


def needs_validation(runner: Runner) -> str | None:
    """Return what the balancer of ``runner``, if it trains with one, must see of the validation set."""
    wrapper = runner.optim_wrapper
    balancer = wrapper.balancer if isinstance(wrapper, BalancingMixin) else None
    return None if balancer is None else balancer.needs.validation
