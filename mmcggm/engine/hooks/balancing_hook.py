"""The schedule and the log of a balancer."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner

from mmcggm.engine.optim_wrapper import BalancingMixin, find_guided
from mmcggm.guided.survey import survey
from mmcggm.registry import HOOKS

from .guide_score_hook import GuideScoreHook


@HOOKS.register_module()
class CGGMHook(Hook):
    """Switches a balancer on and off by epoch, and logs what it does.

    What is logged is the balancer's ``stats``, as ``balance/{name}/{modality}``: of CGGM ``B``, ``score``
    (ε) and, while the direction term is used, ``cos``; and ``balance/L_gm``. They appear in the log and in
    every backend of the visualizer. The values stay on the device between logged iterations, so nothing is
    synchronised for them. (The balancer's state is in the checkpoint's optimizer state.)

    What was out of the ordinary, such as a pole of B or a score that was not finite, is logged as a
    warning with its count.

    Args:
        begin: First epoch, from 0, in which the balancer acts. Before it, the guides train.
        end: First epoch in which it no longer acts, or None for never.
        interval: Iterations between logged values; the last of an epoch is logged as well. Default: the
            interval of the LoggerHook.
    """

    priority = 'NORMAL'

    def __init__(self, begin: int = 0, end: int | None = None, interval: int | None = None) -> None:
        if begin < 0 or (end is not None and end <= begin):
            raise ValueError(f'CGGMHook needs 0 <= begin < end, got begin={begin} and end={end}.')
        self.begin = begin
        self.end = end
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        """Check that there is a balancer, before anything is trained.

        Raises:
            TypeError: If the optimizer wrapper has no balancer.
            ValueError: If the training lacks what the balancer needs.
        """
        if not isinstance(runner.optim_wrapper, BalancingMixin) or runner.optim_wrapper.balancer is None:
            raise TypeError(
                'CGGMHook needs an optimizer wrapper with a balancer, but `optim_wrapper` is a '
                f'{type(runner.optim_wrapper).__name__} without one: use `optim_wrapper=dict('
                "type='CGGMOptimWrapper', balancer=dict(type='CGGM'), ...)`."
            )
        balancer = runner.optim_wrapper.balancer
        measures = any(isinstance(hook, GuideScoreHook) for hook in runner.hooks)
        if balancer.needs_validation and not (measures and runner.val_loop):
            raise ValueError(
                f'{type(balancer).__name__} needs the {balancer.needs_validation} of the guides on the '
                "validation set: add dict(type='GuideScoreHook') to `custom_hooks`, and set "
                '`val_dataloader`, `val_cfg` and `val_evaluator`.'
            )
        if runner.cfg.get('compile') and getattr(balancer, 'direction', None) == 'gradient':
            raise ValueError(
                '`compile` in the config compiles the whole forward pass, which PyTorch cannot differentiate '
                "twice, as direction='gradient' needs. Compile the encoders alone (`encoder.compile()`), "
                "or set `optim_wrapper.balancer.direction` to 'weight' or 'none'."
            )
        guided = find_guided(runner.model)
        if runner.val_loop is not None:
            loops = {'train': runner.train_loop, 'val': runner.val_loop}
            balancer.survey = lambda split: survey(guided, loops[split].dataloader)
        runner.optim_wrapper.followed = True
        self._modalities = guided.modalities
        self._reported: dict[str, int] = {}
        if self.interval is None:
            self.interval = next((h.interval for h in runner.hooks if isinstance(h, LoggerHook)), 1)

    def before_train_epoch(self, runner: Runner) -> None:
        runner.optim_wrapper.balancer.active = self.begin <= runner.epoch and (
            self.end is None or runner.epoch < self.end
        )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        runner.optim_wrapper.balancer.training_progress = runner.iter / runner.max_iters

    def after_train_epoch(self, runner: Runner) -> None:
        runner.optim_wrapper.balancer.end_epoch(find_guided(runner.model).encoder_parameters())

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Hand what :class:`GuideScoreHook` measures to the balancer."""
        modalities = find_guided(runner.model).modalities

        def measured(names: list[str]) -> list[float] | None:
            found = [metrics[name] for name in names if name in metrics]
            return found if len(found) == len(names) else None

        scores = measured([f'guide/{modality}' for modality in modalities])
        losses = measured([*(f'guide_loss/{modality}' for modality in modalities), 'fused_loss'])
        if scores is not None:
            runner.optim_wrapper.balancer.observe_validation(scores, losses)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        balancer = runner.optim_wrapper.balancer
        stats, events = balancer.stats, balancer.events
        logged = self.every_n_inner_iters(batch_idx, self.interval) or self.end_of_epoch(
            runner.train_dataloader, batch_idx
        )
        if not logged or not stats:
            return
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
        for event, count in zip(events, values[len(names) :], strict=True):
            new = int(count) - self._reported.get(event, 0)
            if new:
                runner.logger.warning(f'Balancing, since the last log: {event}, {new} times')
            self._reported[event] = int(count)
