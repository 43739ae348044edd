"""The clock, the schedule and the log of a balancer."""

from __future__ import annotations

from functools import partial

import torch
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor

from mmcggm.balancers import Balancer, Clock
from mmcggm.balancers.events import NewEvents
from mmcggm.engine.log_scalars import log_as_measured
from mmcggm.engine.optim_wrapper import BalancingMixin, find_guided
from mmcggm.guided.survey import mean_losses, survey, whole_pass
from mmcggm.registry import HOOKS

from .guide_score_hook import GuideScoreHook


@HOOKS.register_module()
class BalancingHook(Hook):
    """Moves a balancer's clock, switches it on and off, and logs what it does.

    It logs the balancer's ``stats`` as ``balance/{name}/{modality}``. For CGGM these are ``B``, ``score`` (ε)
    and, while the direction term is used, ``cos``; and ``balance/L_gm``. They appear in the log and in
    every backend of the visualizer. The values stay on the device between logged iterations, so nothing is
    synchronised for them. (The balancer's state is in the checkpoint's optimizer state.)

    What was out of the ordinary, such as a pole of B or a score that was not finite, is logged as a
    warning with its count.

    An epoch is a pass through the training set, with every loop: under an ``IterBasedTrainLoop`` an epoch
    ends every ``len(train_dataloader)`` iterations.

    Args:
        begin: First epoch, from 0, in which the balancer acts; before it, the guides train. A float is the
            fraction of the training that is done by then, which also holds for a longer training.
        end: First epoch in which it no longer acts, or that fraction, or None for never.
        interval: Iterations between logged values; the last of an epoch is logged as well. Default: the
            interval of the LoggerHook.
        by_epoch: Whether whole numbers in ``begin`` and ``end`` are epochs. If not, they are iterations.

    Raises:
        ValueError: If ``begin`` and ``end`` are no such places, or in the wrong order.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        begin: int | float = 0,
        end: int | float | None = None,
        interval: int | None = None,
        by_epoch: bool = True,
    ) -> None:
        alike = type(begin) is type(end) or begin == 0
        if begin < 0 or (end is not None and (end <= 0 or (alike and end <= begin))):
            raise ValueError(
                f'{type(self).__name__} needs 0 <= begin < end, got begin={begin} and end={end}.'
            )
        for name, place in (('begin', begin), ('end', end)):
            if isinstance(place, float) and place > 1:
                raise ValueError(
                    f'{type(self).__name__} got {name}={place}: a float is a fraction of the training, at '
                    'most 1.0; write a whole number for epochs.'
                )
        self.begin = begin
        self.end = end
        self.interval = interval
        self.by_epoch = by_epoch

    def before_train(self, runner: Runner) -> None:
        """Attach the balancer, before anything is trained.

        Raises:
            TypeError: If the optimizer wrapper has no balancer.
            ValueError: If the training lacks what the balancer needs.
        """
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, BalancingMixin) or wrapper.balancer is None:
            raise TypeError(
                f'{type(self).__name__} needs an optimizer wrapper with a balancer, but `optim_wrapper` is a '
                f'{type(wrapper).__name__} without one: use `optim_wrapper=dict('
                "type='BalancedOptimWrapper', balancer=dict(type='CGGM'), ...)`."
            )
        guided = find_guided(runner.model)
        self._balancer: Balancer = wrapper.balancer
        self._modalities = guided.modalities
        self._new_events = NewEvents()
        self._check(runner)
        self._clock = Clock()
        wrapper.attach(
            guided,
            self._clock,
            survey=None if runner.val_loop is None else partial(_survey, runner),
            training_losses=partial(_training_losses, runner),
        )
        log_as_measured(runner, 'balance/')
        if self.interval is None:
            self.interval = next((h.interval for h in runner.hooks if isinstance(h, LoggerHook)), 1)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        loop = runner.train_loop
        self._clock.iteration = runner.iter
        if isinstance(loop, EpochBasedTrainLoop):
            self._clock.epoch = loop.epoch
        elif (length := _epoch_length(runner)) is not None:
            self._clock.epoch = runner.iter // length
        # An epoch that begins anew, after it was interrupted, makes a training longer than it was planned.
        self._clock.progress = min(runner.iter / runner.max_iters, 1.0)
        self._balancer.active = self._is_past(self.begin) and not (
            self.end is not None and self._is_past(self.end)
        )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        length = _epoch_length(runner)
        ends_epoch = length is not None and (batch_idx + 1) % length == 0
        if (ends_epoch or self.every_n_inner_iters(batch_idx, self.interval)) and self._balancer.stats:
            self._log(runner)
        if ends_epoch:
            self._balancer.end_epoch()

    def _is_past(self, place: int | float) -> bool:
        if isinstance(place, float):
            return self._clock.progress >= place
        return (self._clock.epoch if self.by_epoch else self._clock.iteration) >= place

    def _check(self, runner: Runner) -> None:
        """Raise a ValueError unless the training has what the balancer needs."""
        needs, name = self._balancer.needs, self._balancer.name
        measures = any(isinstance(hook, GuideScoreHook) for hook in runner.hooks)
        if needs.validation and not (measures and runner.val_loop):
            raise ValueError(
                f'{name} needs the {needs.validation} of the guides on the '
                "validation set: add dict(type='GuideScoreHook') to `custom_hooks`, and set "
                '`val_dataloader`, `val_cfg` and `val_evaluator`.'
            )
        if needs.survey and runner.val_loop is None:
            raise ValueError(
                f'{name} compares the training with the validation set: set '
                '`val_dataloader`, `val_cfg` and `val_evaluator`.'
            )
        if needs.second_derivatives and runner.cfg.get('compile'):
            raise ValueError(
                '`compile` in the config compiles the whole forward pass, which PyTorch cannot differentiate '
                "twice, as direction='gradient' needs. Compile the encoders alone (`encoder.compile()`), "
                "or set `optim_wrapper.balancer.lam` to 0, or `direction` to 'weight'."
            )
        counts_epochs = self.by_epoch and any(
            isinstance(place, int) and place > 0 for place in (self.begin, self.end)
        )
        if (needs.epochs or counts_epochs) and _epoch_length(runner) is None:
            who = name if needs.epochs else f'{type(self).__name__}(begin={self.begin}, end={self.end})'
            raise ValueError(
                f'{who} counts epochs, but the data set of `train_dataloader` has no length. Give it one, '
                'or, for `begin` and `end`, count iterations with `by_epoch=False`.'
            )

    def _log(self, runner: Runner) -> None:
        stats, events = self._balancer.stats, self._balancer.events
        scalars = [*stats.values(), *events.values()]
        device = scalars[0].device
        values = torch.cat([value.detach().reshape(-1).double().to(device) for value in scalars]).tolist()
        names = [
            f'balance/{name}/{modality}' if value.ndim else f'balance/{name}'
            for name, value in stats.items()
            for modality in (self._modalities if value.ndim else ('',))
        ]
        for name, value in zip(names, values[: len(names)], strict=True):
            runner.message_hub.update_scalar(f'train/{name}', value)
        counts = dict(zip(events, map(int, values[len(names) :]), strict=True))
        for message in self._new_events.since(counts, 'the last log'):
            runner.logger.warning(message)


@HOOKS.register_module()
class CGGMHook(BalancingHook):
    """:class:`BalancingHook`, under the name of the method that began it."""


def _survey(runner: Runner, split: str) -> list[tuple[Tensor, Tensor]]:
    loop = runner.train_loop if split == 'train' else runner.val_loop
    return survey(find_guided(runner.model), whole_pass(loop.dataloader))


def _training_losses(runner: Runner) -> list[float]:
    return mean_losses(find_guided(runner.model), whole_pass(runner.train_loop.dataloader))


def _epoch_length(runner: Runner) -> int | None:
    """Return the iterations of a pass through the training set, or None if it has no length."""
    try:
        return len(runner.train_loop.dataloader)
    except TypeError:
        return None
