"""What each modality's guide scores in validation and test."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor

from mmcggm.balancers.balancer import scores_from_counts
from mmcggm.engine.optim_wrapper import BalancingMixin, find_guided
from mmcggm.guided.watching import Judgement
from mmcggm.registry import HOOKS


@HOOKS.register_module()
class GuideScoreHook(Hook):
    """Adds ``guide/{modality}``, the score of each guide over the whole data set, to the metrics.

    It tells what each encoder has learnt: the task's score (:class:`~mmcggm.guided.Task`) of a prediction
    from that modality alone. The model predicts as it would without; each guide then runs on the
    representation that appeared. The model must see a batch in one pass: one that cuts a volume into
    parts calls its encoders more than once, and the error says so.

    Where the balancer needs losses, ``guide_loss/{modality}`` and ``fused_loss``, the task's loss of the
    head's output, are added in validation.

    A checkpoint of an epoch is saved before the epoch is validated. Where the balancer needs to see the
    validation, a resumed training begins with the one that the checkpoint lacks.

    With several processes counts are summed, so a sample that a sampler repeats counts twice.
    """

    priority = 'HIGHEST'  # the hooks that log metrics come after it

    def __init__(self) -> None:
        self._pass = ExitStack()
        self._judged = Judgement()
        self._totals: dict[str, Tensor] = {}
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
        self._totals = {}

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, mode: str = 'train'
    ) -> None:
        if mode == 'train':
            return
        self._pass.close()  # of an iteration that failed
        losses = mode == 'val' and needs_validation(runner) == 'losses'
        self._judged = self._pass.enter_context(find_guided(runner.model).judging_guides(losses))

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
        found = {f'guide/{modality}': counts for modality, counts in self._judged.scores.items()}
        found |= {f'guide_loss/{modality}': counts for modality, counts in self._judged.losses.items()}
        if self._judged.fused_loss is not None:
            found['fused_loss'] = self._judged.fused_loss
        for name, counts in found.items():
            self._totals[name] = self._totals.get(name, 0) + counts

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._report(runner, 'guide', metrics)
        if needs_validation(runner) == 'losses':
            self._report(runner, 'guide_loss', metrics, 'fused_loss')
        self._validated_at = runner.iter

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._report(runner, 'guide', metrics)

    def _report(self, runner: Runner, name: str, metrics: dict[str, float], *more: str) -> None:
        """Add the metrics ``{name}/{modality}`` and ``more``, over all processes."""
        names = [*(f'{name}/{modality}' for modality in find_guided(runner.model).modalities), *more]
        nothing = torch.zeros_like(next(self._totals[name] for name in names if name in self._totals))
        totals = torch.stack([self._totals.get(name, nothing) for name in names])
        all_reduce(totals)
        metrics.update(zip(names, scores_from_counts(totals).tolist(), strict=True))


def needs_validation(runner: Runner) -> str | None:
    """Return what the balancer of ``runner``, if it trains with one, must see of the validation set."""
    wrapper = runner.optim_wrapper
    balancer = wrapper.balancer if isinstance(wrapper, BalancingMixin) else None
    return None if balancer is None else balancer.needs_validation
