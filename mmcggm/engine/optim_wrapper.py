"""Optimizer wrappers that run a balancer inside ``update_params``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from mmcggm.balancers import Balancer, Clock, Training, build_balancer
from mmcggm.balancers.sharding import local_part
from mmcggm.balancers.training import Survey
from mmcggm.guided import GuidedModel
from mmcggm.registry import OPTIM_WRAPPERS


class BalancingMixin(OptimWrapper):
    """What balancing adds to an optimizer wrapper of MMEngine's.

    It finds the guided model in ``optim_context``, lets the balancer add its term to the loss before
    backward, and change gradients and update, once for each update.
    """

    def __init__(
        self,
        *args: Any,
        balancer: Balancer | dict | str | list[dict | str] | None = None,
        guide_optimizer: Optimizer | None = None,
        zero_nonfinite: bool = True,
        **kwargs: Any,
    ) -> None:
        if isinstance(guide_optimizer, dict):
            raise TypeError(
                '`optim_wrapper.guide_optimizer` is a config: add '
                "`constructor='GuidedOptimWrapperConstructor'` to `optim_wrapper`, which builds it."
            )
        super().__init__(*args, **kwargs)
        if isinstance(self.optimizer, LBFGS):
            raise ValueError(
                '`optim_wrapper.optimizer` is LBFGS, which evaluates the loss several times a step, and a '
                'training loop of MMEngine does so once: take another, or balance in a loop of your own.'
            )
        key = 'optim_wrapper.balancer'
        self.balancer: Balancer | None = None if balancer is None else build_balancer(balancer, key)
        self.guide_optimizer = guide_optimizer
        self.zero_nonfinite = zero_nonfinite
        self._guided: GuidedModel | None = None
        self._nonfinite: Tensor | None = None

    @property
    def optimizers(self) -> list[Optimizer]:
        """The model's optimizer and, if they have their own, the guides'."""
        return [self.optimizer] if self.guide_optimizer is None else [self.optimizer, self.guide_optimizer]

    def attach(
        self,
        guided: GuidedModel,
        clock: Clock,
        survey: Survey | None = None,
        training_losses: Callable[[], list[float]] | None = None,
    ) -> None:
        """Attach the balancer to the training of ``guided``.

        Args:
            guided: The model, without distributed wrappers.
            clock: That of the training, moved by whoever runs it.
            survey: See :class:`~mmcggm.balancers.Training`.
            training_losses: Likewise.

        Raises:
            ValueError: If there is no balancer, or it can not balance this model.
        """
        if self.balancer is None:
            raise ValueError('`optim_wrapper.balancer` is None: there is nothing to attach.')
        self._guided = guided
        seed = torch.tensor(torch.initial_seed() % 2**62)
        broadcast(seed)  # what is random after gradients were averaged must be the same everywhere
        self.balancer.attach(
            Training(
                guided.modalities,
                guided.encoder_parameters(),
                clock,
                survey=survey,
                training_losses=training_losses,
                seed=int(seed),
            )
        )

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        if self.balancer is None:
            inner = unwrapped(model)
            self._guided = inner if isinstance(inner, GuidedModel) else None
            with super().optim_context(model):
                yield
            return
        if self._guided is None:
            self._guided = find_guided(model)
            self.attach(self._guided, Clock())
            print_log(
                f'{self.balancer.name} acts without a BalancingHook: its schedules stay at their '
                "start and nothing is logged. Add dict(type='BalancingHook') to `custom_hooks`.",
                'current',
                logging.WARNING,
            )
        with self._guided.changing(self.balancer.pass_changes()), super().optim_context(model):
            yield

    def update_params(
        self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None
    ) -> None:
        if self._guided is not None:
            seen = self._guided.take_pass()
            if self.balancer is not None:
                seen.loss_scale = self._loss_scale()
                term = self.balancer.see(seen)
                loss = loss if term is None else loss + term
            del seen  # backward needs the graphs of the losses alone
        elif self.balancer is not None:
            raise RuntimeError(
                'A balancing optimizer wrapper needs `with optim_wrapper.optim_context(model):` around '
                'the forward pass, as `train_step` has it. (An OptimWrapperDict does not pass it on: '
                'balance with one optimizer, and `paramwise_cfg` for what differs.)'
            )
        super().update_params(loss, step_kwargs, zero_kwargs)

    def step(self, **kwargs: Any) -> None:
        overflow = self._unscale()
        if self.balancer is not None:
            self.balancer.finish_update(overflow)
        if self.zero_nonfinite and overflow is None:
            self._zero_nonfinite()
        if self.clip_grad_kwargs:
            self._clip_grad()
            self._tell_limit()
        with self.balancer.scaled_rates(self.optimizer) if self.balancer is not None else nullcontext():
            self._step_optimizers(**kwargs)

    def _tell_limit(self) -> None:
        """Log whether the limit on the gradient's norm was active; the log shows how often in its window."""
        norms = self.message_hub.log_scalars.get(f'train/{self.grad_name}')
        if norms is not None and 'max_norm' in self.clip_grad_kwargs:
            active = float(norms.current() > self.clip_grad_kwargs['max_norm'])
            self.message_hub.update_scalar(f'train/{self.grad_name}_limited', active)

    def take_nonfinite(self) -> Tensor | None:
        """Return once whether the last update's gradients were not finite, a bool scalar on the device.

        None if nothing was updated since, or if nothing looks at it (``zero_nonfinite=False``; a step that
        loss scaling skips).
        """
        nonfinite, self._nonfinite = self._nonfinite, None
        return nonfinite

    def zero_grad(self, **kwargs: Any) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(**kwargs)

    def state_dict(self) -> dict:
        """Return the optimizer's state, with the guides' optimizer's and the balancer's beside it."""
        state = super().state_dict()
        if self.guide_optimizer is not None:
            state['guide_optimizer'] = self.guide_optimizer.state_dict()
        if self.balancer is not None:
            state['balancer'] = {'method': self._method, 'state': self.balancer.state_dict()}
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore what :meth:`state_dict` returned.

        Raises:
            ValueError: If it is of a training with another balancing method.
        """
        state_dict = dict(state_dict)
        guide_state = state_dict.pop('guide_optimizer', None)
        balancer_state: dict[str, Any] | None = state_dict.pop('balancer', None)
        theirs = 'no balancer' if balancer_state is None else balancer_state['method']
        if theirs != self._method:
            raise ValueError(
                f'The checkpoint is of a training with {theirs}, but `optim_wrapper.balancer` of this one is '
                f'{self._method}. Resume with the config of that training, or begin a new one from its '
                'weights alone: `load_from` instead of `resume`, in a `work_dir` of its own.'
            )
        if self.guide_optimizer is not None and guide_state is not None:
            self.guide_optimizer.load_state_dict(guide_state)
        if self.balancer is not None and balancer_state is not None:
            self.balancer.load_state_dict(balancer_state['state'])
        super().load_state_dict(state_dict)

    @property
    def _method(self) -> str:
        """Return the name of the balancing method, for checkpoints."""
        return 'no balancer' if self.balancer is None else self.balancer.name

    def _loss_scale(self) -> Tensor | None:
        """Return by what losses are multiplied before backward, None for one."""
        return None

    def _unscale(self) -> Tensor | None:
        """Undo loss scaling; return a scalar above zero if it overflowed, or None without scaling."""
        return None

    def _step_optimizers(self, **kwargs: Any) -> None:
        self.optimizer.step(**kwargs)
        if self.guide_optimizer is not None:
            self.guide_optimizer.step()

    def _zero_nonfinite(self) -> None:
        """Replace gradients that are not finite by zero, without asking whether there are any."""
        grads = [
            local_part(p.grad)
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for p in group['params']
            if p.grad is not None
        ]
        if grads:
            # A sum, which is not finite if any entry is not (or if it overflows, which merely counts it).
            self._nonfinite = ~torch.stack(torch._foreach_norm(grads, 1)).sum().isfinite()
        for grad in grads:
            torch.nan_to_num_(grad, nan=0.0, posinf=0.0, neginf=0.0)


@OPTIM_WRAPPERS.register_module()
class BalancedOptimWrapper(BalancingMixin, OptimWrapper):
    """``OptimWrapper`` with a balancer.

    The model must be a :class:`~mmcggm.guided.GuidedModel`, also inside a distributed wrapper.
    Accumulation and clipping are ``OptimWrapper``'s; the balancer's state is in the checkpoint's
    optimizer state.

    Args:
        optimizer: Of the model; also of the guides, unless they have their own.
        balancer: Config of a balancer, for example ``dict(type='CGGM', rho=1.3, lam=0.2)``, or its type
            alone, or a list of them, see :class:`~mmcggm.balancers.Combined`; or None: guides train and
            nothing is balanced.
        guide_optimizer: Optimizer of the guides. In a config,
            ``constructor='GuidedOptimWrapperConstructor'`` builds it. Learning rate schedules,
            ``auto_scale_lr`` and clipping act on ``optimizer`` alone, as in the published code.
        zero_nonfinite: Whether gradient entries that are not finite become zero, so that one bad batch
            does not end a training; ``NonFiniteGradientHook`` says which batches they were. Loss scaling,
            which skips such a step, comes first.
        **kwargs: Of ``OptimWrapper``: ``accumulative_counts``, ``clip_grad``.

    Example:
        >>> optim_wrapper = dict(
        >>>     type='BalancedOptimWrapper',
        >>>     constructor='GuidedOptimWrapperConstructor',
        >>>     optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
        >>>     guide_optimizer=dict(type='SGD', lr=6e-3, momentum=0.9),
        >>>     balancer=dict(type='CGGM', rho=1.0, lam=0.1))
    """


class _AmpOnAnyDevice(AmpOptimWrapper):
    """``AmpOptimWrapper``, which refuses to work without an accelerator, also on a CPU."""

    def __init__(
        self, loss_scale: str | float | dict = 'dynamic', dtype: str | None = None, **kwargs: Any
    ) -> None:
        if get_device() != 'cpu':
            super().__init__(loss_scale=loss_scale, dtype=dtype, **kwargs)
            return
        if loss_scale != 'dynamic' and not isinstance(loss_scale, (float, dict)):
            raise TypeError(f"loss_scale must be of type float, dict, or 'dynamic', but got {loss_scale!r}.")
        if dtype not in (None, 'bfloat16', torch.bfloat16):
            raise ValueError(f'On a CPU `optim_wrapper.dtype` must be bfloat16, got {dtype}.')
        OptimWrapper.__init__(self, **kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu', enabled=False)
        self.cast_dtype = torch.bfloat16
        self._scale_update_param = None


@OPTIM_WRAPPERS.register_module()
class BalancedAmpOptimWrapper(BalancingMixin, _AmpOnAnyDevice):
    """``AmpOptimWrapper`` with a balancer; on a CPU it trains in bfloat16, without loss scaling.

    Args:
        loss_scale: Of ``AmpOptimWrapper``.
        dtype: Of ``AmpOptimWrapper``: ``'float16'`` or ``'bfloat16'``. On a CPU ``'bfloat16'`` is the
            default and the only choice.
        **kwargs: Of :class:`BalancedOptimWrapper`.

    Raises:
        TypeError: If ``loss_scale`` is none of those of ``AmpOptimWrapper``.
        ValueError: If another data type than bfloat16 is asked for on a CPU.
    """

    def _loss_scale(self) -> Tensor | None:
        if not self.loss_scaler.is_enabled():
            return None
        return self.loss_scaler.scale(
            torch.ones((), device=self.optimizer.param_groups[0]['params'][0].device)
        )

    def _unscale(self) -> Tensor | None:
        if not self.loss_scaler.is_enabled():
            return None
        for optimizer in self.optimizers:
            self.loss_scaler.unscale_(optimizer)
        flags = [f for o in self.optimizers for f in self.loss_scaler._found_inf_per_device(o).values()]
        overflow = torch.stack([flag.to(flags[0].device) for flag in flags]).sum()
        # An overflow of the model's gradients skips the guides' step too, and the other way round.
        for flag in flags:
            flag.copy_(overflow)
        return overflow

    def _step_optimizers(self, **kwargs: Any) -> None:
        self.loss_scaler.step(self.optimizer, **kwargs)
        if self.guide_optimizer is not None:
            self.loss_scaler.step(self.guide_optimizer)
        self.loss_scaler.update(self._scale_update_param)


@OPTIM_WRAPPERS.register_module()
class CGGMOptimWrapper(BalancedOptimWrapper):
    """``BalancedOptimWrapper`` with :class:`~mmcggm.balancers.CGGM` as its method, unless told otherwise."""

    def __init__(
        self, *args: Any, balancer: Balancer | dict | str | list | None = 'CGGM', **kwargs: Any
    ) -> None:
        super().__init__(*args, balancer=balancer, **kwargs)


@OPTIM_WRAPPERS.register_module()
class CGGMAmpOptimWrapper(BalancedAmpOptimWrapper):
    """``BalancedAmpOptimWrapper`` with CGGM as its method, unless told otherwise."""

    def __init__(
        self, *args: Any, balancer: Balancer | dict | str | list | None = 'CGGM', **kwargs: Any
    ) -> None:
        super().__init__(*args, balancer=balancer, **kwargs)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return what is inside ``model``'s distributed wrappers."""
    while is_model_wrapper(model):
        model = cast(nn.Module, model.module)
    return model


def find_guided(model: nn.Module) -> GuidedModel:
    """Return the guided model inside ``model``'s distributed wrappers."""
    inner = unwrapped(model)
    if not isinstance(inner, GuidedModel):
        raise TypeError(
            f'A balancer needs a GuidedModel, but `model` is a {type(inner).__name__}. Wrap it: '
            "`model=dict(type='GuidedModel', model=<yours>, encoders=..., head=..., guide=..., task=...)`."
        )
    return inner
