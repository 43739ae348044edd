"""What each modality's guide scores in validation and test."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from copy import deepcopy
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmcggm.balancers.sharding import is_sharded
from mmcggm.engine.optim_wrapper import BalancingMixin, find_guided
from mmcggm.guided import GuidedModel, UntrainedGuides
from mmcggm.guided.guided_pass import GuidedPass
from mmcggm.guided.score_counts import ScoreCounts
from mmcggm.registry import HOOKS

KEY = 'untrained_guides'  # in a checkpoint


@HOOKS.register_module()
class GuideScoreHook(Hook):
    """Adds ``guide/{modality}``, the score of each guide over the whole data set, to the metrics.

    This tells what each encoder has learnt: the score (:class:`~mmcggm.guided.Task`) of a prediction from
    one modality alone. The model predicts as it would without the hook; each guide then runs on the
    representation that appeared. The model must see a batch in one pass: one that cuts a volume into
    parts calls its encoders more than once, and the error says so.

    Where the balancer needs losses, ``guide_loss/{modality}`` and ``fused_loss``, the task's loss of the
    head's output, are added in validation. A balancer that needs to see the validation is told.

    With ``control``, ``guide_untrained/{modality}`` stands beside it: the score of a guide that was trained
    the same way on the encoder as it was before training, see :class:`~mmcggm.guided.UntrainedGuides`. An
    encoder has learnt what its own guide scores above this. The training stays the same to the last bit.
    The price is one more pass of the model without gradient, and a step of the guides. The model and its
    guides are once more in memory, and in the checkpoints, from which trainings and tests take the control.

    With several processes counts are summed, so a sample that a sampler repeats counts twice.

    Args:
        control: Whether to train and score guides on the untrained encoders. Not with sharded parameters,
            ``compile`` or an ``OptimWrapperDict``.
    """

    priority = 'HIGHEST'  # the hooks that log metrics come after it

    def __init__(self, control: bool = False) -> None:
        self.control = control
        self._watch = ExitStack()
        self._counts = ScoreCounts()  # of the data set so far
        self._untrained: UntrainedGuides | None = None
        self._stored: dict[str, Any] | None = None  # the control that the loaded checkpoint holds

    def before_run(self, runner: Runner) -> None:
        """Check that there are guides.

        Raises:
            TypeError: If the model has none.
        """
        find_guided(runner.model)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if self.control:
            self._stored, self._untrained = checkpoint.get(KEY), None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if self._untrained is not None:
            checkpoint[KEY] = self._untrained.state_dict()

    def before_train(self, runner: Runner) -> None:
        """Copy the model as it is before training.

        Raises:
            ValueError: If the checkpoint that is resumed from does not tell how that was, or the model
                can't be copied.
            TypeError: If there are several optimizers.
        """
        if self.control and runner.iter == 0:
            self._stored = None  # of the training that the weights are from
            self._untrained = _untrained_guides(runner)
        else:
            self._restore_control(runner)

    def before_val(self, runner: Runner) -> None:
        self._restore_control(runner)

    def before_test(self, runner: Runner) -> None:
        self._restore_control(runner)

    def _restore_control(self, runner: Runner) -> None:
        """Take up the control of the checkpoint, unless it is there."""
        if not self.control or self._untrained is not None:
            return
        if self._stored is None:
            raise ValueError(
                'GuideScoreHook(control=True) needs the encoders as they were before training, '
                'and no checkpoint that holds them was loaded. Train with `control=True` from '
                'the start, or leave it out here.'
            )
        self._untrained = _untrained_guides(runner)
        self._untrained.load_state_dict(self._stored)
        self._stored = None

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self._counts = ScoreCounts()

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, mode: str = 'train'
    ) -> None:
        self._watch.close()  # of an iteration that failed
        guided = find_guided(runner.model)
        if self._untrained is not None:
            self._call: tuple[tuple, dict] | None = None
            self._watch.callback(guided.register_forward_pre_hook(self._keep_call, with_kwargs=True).remove)
        if mode == 'train':
            if self._untrained is not None:
                self._scale = runner.optim_wrapper.scale_loss(torch.ones(())).item()
            return
        self._seen: GuidedPass = self._watch.enter_context(guided.watch())

    @torch.no_grad()
    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
        mode: str = 'train',
    ) -> None:
        self._watch.close()
        if mode == 'train':
            if self._untrained is not None:
                with torch.enable_grad():
                    self._untrained.accumulate(*self._take_call(), scale=self._scale)
                if runner.optim_wrapper.should_update():
                    self._untrained.step()
            return
        self._counts.add('scores', self._seen.counts())
        if self._untrained is not None:
            self._counts.add('untrained', self._untrained.counts(*self._take_call()))
        if mode == 'val' and needs_validation(runner) == 'losses':
            self._counts.add('losses', self._seen.loss_counts())
        del self._seen  # with all that the pass holds

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        modalities = find_guided(runner.model).modalities
        scores, losses = self._counts.scores('scores'), None
        _add(metrics, (f'guide/{m}' for m in modalities), scores)
        self._add_control(metrics, modalities)
        if 'losses' in self._counts:
            losses = self._counts.scores('losses')
            _add(metrics, [*(f'guide_loss/{m}' for m in modalities), 'fused_loss'], losses)
        if needs_validation(runner):
            runner.optim_wrapper.balancer.see_validation(scores, losses)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        modalities = find_guided(runner.model).modalities
        _add(metrics, (f'guide/{m}' for m in modalities), self._counts.scores('scores'))
        self._add_control(metrics, modalities)

    def _keep_call(self, guided: GuidedModel, args: tuple, kwargs: dict) -> None:
        """Keep what the model is called with first: a copy, since it may write into its batch."""
        if self._call is None:
            self._call = deepcopy((args, kwargs))

    def _take_call(self) -> tuple[tuple, dict]:
        call, self._call = self._call, None
        if call is None:
            raise RuntimeError(
                'GuideScoreHook(control=True) needs the calls of the GuidedModel, and there was none in this '
                'iteration: the model that is called must be the one in the runner.'
            )
        return call

    def _add_control(self, metrics: dict[str, float] | None, modalities: Iterable[str]) -> None:
        if 'untrained' in self._counts:
            scores = self._counts.scores('untrained')
            _add(metrics, (f'guide_untrained/{m}' for m in modalities), scores)


def _add(metrics: dict[str, float] | None, names: Iterable[str], values: list[float]) -> None:
    if metrics is not None:
        metrics.update(zip(names, values, strict=True))


def _untrained_guides(runner: Runner) -> UntrainedGuides:
    """Return the control of a training or, where no optimizer is built, of a test."""
    guided, wrapper = find_guided(runner.model), runner.optim_wrapper
    if runner.cfg.get('compile') or any(map(is_sharded, guided.parameters())):
        raise ValueError(
            'GuideScoreHook(control=True) copies the model as it is before training, which it can neither '
            'with `compile` in the config nor with sharded parameters (FSDP): leave one of the two out.'
        )
    if isinstance(wrapper, BalancingMixin):
        return UntrainedGuides(guided, wrapper.optimizers)
    if isinstance(wrapper, OptimWrapper):
        return UntrainedGuides(guided, [wrapper.optimizer])
    if wrapper is None or isinstance(wrapper, dict):  # that of a test, which is not built
        return UntrainedGuides(guided)
    raise TypeError(
        'GuideScoreHook(control=True) follows the optimizers of an OptimWrapper, but `optim_wrapper` is '
        f'a {type(wrapper).__name__}.'
    )


def needs_validation(runner: Runner) -> str | None:
    """Return what the balancer of ``runner``, if it trains with one, must see of the validation set."""
    wrapper = runner.optim_wrapper
    balancer = wrapper.balancer if isinstance(wrapper, BalancingMixin) else None
    return None if balancer is None else balancer.needs.validation
