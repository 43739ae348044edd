"""What a loop may forget, noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import ModuleDict
from torch import nn

from mmcggm.utils.warn import warn

GUIDES = 'mmcggm_guides'  # the child of a balanced model that holds them


class Guides(ModuleDict):
    """The guides of a model, by modality.

    Attributes:
        unwatched: Passes of the model in training since the last that was watched; None once that was said.
    """

    unwatched: int | None = 0


def notice_unwatched(model: nn.Module, args: Any) -> None:
    """Say once that a model with guides trains as if it had none. A forward pre-hook of the model.

    It is a function of the module alone, so copies of the model have it, too.
    """
    guides = getattr(model, GUIDES)
    if guides.unwatched is None or not (model.training and torch.is_grad_enabled()):
        return
    guides.unwatched += 1
    if guides.unwatched > 1:
        guides.unwatched = None
        warn(
            f'{type(model).__name__} trains, but nothing is balanced: run each training pass inside `with '
            'balanced.watch(target):`, and take `balanced.loss(loss).backward()`.'
        )


def versions_of(encoders: Sequence[Sequence[nn.Parameter]]) -> list[int]:
    """Return how often each parameter was changed in place."""
    return [parameter._version for parameters in encoders for parameter in parameters]


def without_guides(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's ``state_dict`` without its guides, as the model is at prediction.

    Names may have prefixes of wrappers, such as ``module.``.
    """
    return {name: value for name, value in state.items() if GUIDES not in name.split('.')}
