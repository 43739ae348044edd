"""Which optimizer wrapper balances in place of MMEngine's own."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import Registry

from mmcggm.registry import OPTIM_WRAPPERS

from .optim_wrapper import BalancedAmpOptimWrapper, BalancedOptimWrapper, BalancingMixin

BALANCED = {OptimWrapper: BalancedOptimWrapper, AmpOptimWrapper: BalancedAmpOptimWrapper}


def balanced_type(settings: Mapping[str, Any]) -> type[BalancingMixin]:
    """Return the type of the optimizer wrapper that balances, in place of the one that ``settings`` name.

    Raises:
        TypeError: If there is none for it, or settings of mixed precision would be lost.
    """
    named = found_type(settings, OPTIM_WRAPPERS) or OptimWrapper
    kind = BALANCED.get(named, named)
    if not issubclass(kind, BalancingMixin):
        raise TypeError(
            f"`optim_wrapper.type` is '{kind.__name__}', which has no counterpart that balances: take "
            'OptimWrapper or, for mixed precision, AmpOptimWrapper.'
        )
    lost = sorted({'loss_scale', 'dtype'} & settings.keys())
    if lost and not issubclass(kind, AmpOptimWrapper):
        raise TypeError(
            f'`optim_wrapper.{lost[0]}` is a setting of mixed precision, in which the inherited config '
            f'trains, but `optim_wrapper.type` is {kind.__name__}, which has none. To keep it leave `type` '
            'out, as `balancer` is enough, or take BalancedAmpOptimWrapper. To train without it set '
            f'`optim_wrapper=dict(_delete_=True, type={kind.__name__!r}, optimizer=..., ...)`.'
        )
    return kind


def balances(optim_wrapper: Any) -> bool:
    """Return whether an optimizer wrapper, or what its settings will make, has a balancer."""
    if not isinstance(optim_wrapper, Mapping):
        return isinstance(optim_wrapper, BalancingMixin) and optim_wrapper.balancer is not None
    if 'balancer' in optim_wrapper:
        return optim_wrapper['balancer'] is not None
    named = found_type(optim_wrapper, OPTIM_WRAPPERS)
    if not isinstance(named, type) or not issubclass(named, BalancingMixin):
        return False
    return signature(named).parameters['balancer'].default is not None


def found_type(settings: Mapping[str, Any], registry: Registry, key: str = 'type') -> Any:
    """Return what a type in a config stands for, in the scope of that config; None if there is none."""
    named = settings.get(key)
    if not isinstance(named, str):
        return named
    with registry.switch_scope_and_registry(settings.get('_scope_')) as scoped:
        return scoped.get(named)
