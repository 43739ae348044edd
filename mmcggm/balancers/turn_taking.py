"""Turns: training one modality while the others wait."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from .pass_record import Change


def alone(turn: int, count: int, scale: float = 1.0) -> dict[int, Change]:
    """Return the changes that leave one of ``count`` modalities, ``scale`` times what it was."""
    # Not `zeros_like`: a distributed wrapper waits for each encoder's gradient, be it zero.
    return {index: partial(torch.mul, other=scale if index == turn else 0) for index in range(count)}


def let_rest(encoders: Sequence[Sequence[nn.Parameter]], turn: int) -> None:
    """Take the gradients from all encoders but that of modality ``turn``, so that no momentum moves them."""
    for index, parameters in enumerate(encoders):
        if index != turn:
            for parameter in parameters:
                parameter.grad = None
