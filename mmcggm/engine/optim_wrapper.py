"""Optimizer wrappers that run a balancer inside ``update_params``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from mmengine.device import get_device
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from mmcggm.balancers import Balancer, GuidedStep
from mmcggm.models.guided import GuidedModel
from mmcggm.registry import BALANCERS, OPTIM_WRAPPERS


class BalancingMixin:
    """What balancing adds to an optimizer wrapper of MMEngine's.

    It finds the guided model in ``optim_context``, lets the balancer add its term to the loss before
    backward, and change the gradients before clipping, once for each update.
    """

    def __init__(
        self,
        *args,
        balancer: Balancer | dict | None = None,
        guide_optimizer: Optimizer | None = None,
        **kwargs,
    ) -> None:
        if isinstance(guide_optimizer, dict):
            raise TypeError(
                '`optim_wrapper.guide_optimizer` is a config: add '
                "`constructor='GuidedOptimWrapperConstructor'` to `optim_wrapper`, which builds it."
            )
        super().__init__(*args, **kwargs)
        self.balancer: Balancer | None = BALANCERS.build(balancer) if isinstance(balancer, dict) else balancer
        self.guide_optimizer = guide_optimizer
        self._guided: GuidedModel | None = None

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        if self.balancer is not None:
            self._guided = find_guided(model)
        with super().optim_context(model):
            yield

    def update_params(
        self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None
    ) -> None:
        if self.balancer is not None:
            if self._guided is None:
                raise RuntimeError(
                    'Call `optim_context(model)` around the forward pass before `update_params`.'
                )
            term = self.balancer.adjust_loss(self._scaled(self._guided.take_step()))
            if term is not None:
                loss = loss + term
        super().update_params(loss, step_kwargs, zero_kwargs)

    def step(self, **kwargs) -> None:
        if self.balancer is not None:
            self.balancer.adjust_gradients(self._guided.encoder_parameters())
        if self.guide_optimizer is not None:
            self._step_guides()
        super().step(**kwargs)

    def zero_grad(self, **kwargs) -> None:
        super().zero_grad(**kwargs)
        if self.guide_optimizer is not None:
            self.guide_optimizer.zero_grad(**kwargs)

    def state_dict(self) -> dict:
        """Return the optimizer's state, with the guides' optimizer's and the balancer's beside it."""
        state = super().state_dict()
        if self.guide_optimizer is not None:
            state['guide_optimizer'] = self.guide_optimizer.state_dict()
        if self.balancer is not None:
            state['balancer'] = self.balancer.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        state_dict = dict(state_dict)
        guide_state, balancer_state = (
            state_dict.pop('guide_optimizer', None),
            state_dict.pop('balancer', None),
        )
        if self.guide_optimizer is not None and guide_state is not None:
            self.guide_optimizer.load_state_dict(guide_state)
        if self.balancer is not None and balancer_state is not None:
            self.balancer.load_state_dict(balancer_state)
        super().load_state_dict(state_dict)

    def _step_guides(self) -> None:
        self.guide_optimizer.step()

    def _scaled(self, step: GuidedStep) -> GuidedStep:
        """Return the step with its losses as backward will see them."""
        return step


@OPTIM_WRAPPERS.register_module()
class CGGMOptimWrapper(BalancingMixin, OptimWrapper):
    """``OptimWrapper`` with a balancer.

    The model must be a :class:`~mmcggm.models.GuidedModel`, also inside a distributed wrapper.
    Accumulation and clipping are ``OptimWrapper``'s; the balancer's state is in the checkpoint's
    optimizer state.

    Args:
        optimizer: Of the model; also of the guides, unless they have their own.
        balancer: Config of a balancer, for example ``dict(type='CGGM', rho=1.3, lam=0.2)``, or None:
            guides train and nothing is balanced.
        guide_optimizer: Optimizer of the guides. In a config,
            ``constructor='GuidedOptimWrapperConstructor'`` builds it. Learning rate schedules and
            clipping act on ``optimizer`` alone, as in the published code.
        **kwargs: Of ``OptimWrapper``: ``accumulative_counts``, ``clip_grad``.

    Example:
        >>> optim_wrapper = dict(
        >>>     type='CGGMOptimWrapper',
        >>>     constructor='GuidedOptimWrapperConstructor',
        >>>     optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
        >>>     guide_optimizer=dict(type='SGD', lr=6e-3, momentum=0.9),
        >>>     balancer=dict(type='CGGM', rho=1.0, lam=0.1))
    """


class _AmpOnAnyDevice(AmpOptimWrapper):
    """``AmpOptimWrapper``, which refuses to work without an accelerator, also on a CPU."""

    def __init__(
        self, loss_scale: str | float | dict = 'dynamic', dtype: str | None = None, **kwargs
    ) -> None:
        if get_device() != 'cpu':
            super().__init__(loss_scale=loss_scale, dtype=dtype, **kwargs)
            return
        if dtype not in (None, 'bfloat16', torch.bfloat16):
            raise ValueError(f'On a CPU `optim_wrapper.dtype` must be bfloat16, got {dtype}.')
        OptimWrapper.__init__(self, **kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu', enabled=False)
        self.cast_dtype = torch.bfloat16
        self._scale_update_param = None


@OPTIM_WRAPPERS.register_module()
class CGGMAmpOptimWrapper(BalancingMixin, _AmpOnAnyDevice):
    """``AmpOptimWrapper`` with a balancer; on a CPU it trains in bfloat16, without loss scaling.

    Args:
        loss_scale: Of ``AmpOptimWrapper``.
        dtype: Of ``AmpOptimWrapper``: ``'float16'`` or ``'bfloat16'``. On a CPU ``'bfloat16'`` is the
            default and the only choice.
        **kwargs: Of :class:`CGGMOptimWrapper`.

    Raises:
        ValueError: If another data type than bfloat16 is asked for on a CPU.
    """

    def _step_guides(self) -> None:
        self.loss_scaler.step(self.guide_optimizer)

    def _scaled(self, step: GuidedStep) -> GuidedStep:
        task_loss, *guide_losses = self.loss_scaler.scale([step.task_loss, *step.guide_losses])
        return replace(step, task_loss=task_loss, guide_losses=guide_losses)


def find_guided(model: nn.Module) -> GuidedModel:
    """Return the guided model inside ``model``'s distributed wrappers."""
    inner = model
    while is_model_wrapper(inner):
        inner = inner.module
    if not isinstance(inner, GuidedModel):
        raise TypeError(
            f'A balancer needs a GuidedModel, but `model` is a {type(inner).__name__}. Wrap it: '
            "`model=dict(type='GuidedModel', model=<yours>, encoders=..., head=..., guide=..., task=...)`."
        )
    return inner
