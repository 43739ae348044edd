"""What is seen of a model's pass from outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn


class Call(NamedTuple):
    """What a layer was given, and what it returned."""

    input: Tensor
    output: Tensor


@dataclass
class WatchedPass:
    """What a pass of the inner model was given, and what it made of it.

    Attributes:
        batch: What its ``forward`` was called with, by argument name.
        representations: By modality, as the encoder made them; those that appeared.
        output: Of the head's last layer, or None if it was not called.
    """

    batch: dict[str, Any] = field(default_factory=dict)
    representations: dict[str, Any] = field(default_factory=dict)
    output: Tensor | None = None


@dataclass
class Judgement:
    """What a pass is worth, as counts ``(K, 2)``, see ``GuidedStep``, without modalities that it lacks.

    Attributes:
        scores: Of the guides, by modality.
        losses: Of the guides, by modality, if asked for.
        fused_loss: The task's loss of the head's output, if asked for and the head was called.
    """

    scores: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)
    fused_loss: Tensor | None = None


@contextmanager
def calls_of(module: nn.Module) -> Iterator[list[Call]]:
    """Collect what ``module`` is given and returns inside the context."""
    calls: list[Call] = []

    def keep(module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        calls.append(Call(next(iter((*args, *kwargs.values()))), output))

    handle = module.register_forward_hook(keep, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put ``module`` into evaluation mode inside the context."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
