"""Optimizer settings of another library's config, to which balancing is added: nothing of them is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmcggm.guided import GuidedModel
from mmcggm.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS

from .balanced_type import balances, found_type
from .optim_wrapper import BalancingMixin, unwrapped
from .optim_wrapper_constructor import GuidedOptimWrapperConstructor


def guided_settings(optim_wrapper: Any, model: nn.Module | dict) -> Any:
    """Return the settings of a guided model's optimizer wrapper, with the constructor that knows of guides.

    The constructor that they name groups the inner model's parameters, which have the names there that they
    have without guides. Settings that balance nothing, those of another model and those with a built
    optimizer are returned as they are.

    Args:
        optim_wrapper: The settings, or the built wrapper.
        model: The model, also inside a distributed wrapper, or its config.
    """
    if not isinstance(optim_wrapper, Mapping) or not isinstance(optim_wrapper.get('optimizer'), Mapping):
        return optim_wrapper
    kind = found_type(optim_wrapper, OPTIM_WRAPPERS)
    watches = isinstance(kind, type) and issubclass(kind, BalancingMixin)
    if not _is_guided(model) or not (balances(optim_wrapper) or watches):
        return optim_wrapper
    constructor = found_type(optim_wrapper, OPTIM_WRAPPER_CONSTRUCTORS, 'constructor')
    if isinstance(constructor, type) and issubclass(constructor, GuidedOptimWrapperConstructor):
        return optim_wrapper
    settings = dict(optim_wrapper, constructor=GuidedOptimWrapperConstructor, strict_keys=False)
    if constructor not in (None, DefaultOptimWrapperConstructor):
        settings['inner_constructor'] = constructor
    return settings


def _is_guided(model: nn.Module | dict) -> bool:
    if isinstance(model, Mapping):
        return found_type(model, MODELS) is GuidedModel
    return isinstance(unwrapped(model), GuidedModel)
