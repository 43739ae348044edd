"""Encoders' updates, scaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler, OptState
from torch.optim import Optimizer


class ScaledUpdate:
    """What an optimizer's step does to the encoders, scaled afterwards.

    For optimizers whose update is the learning rate times something it is a factor on the learning rate. It
    needs no parameter group an encoder, which schedulers and checkpoints would have to know, but a copy of
    the encoders for the time of the step.

    Args:
        encoders: The parameters of each encoder, before the step. Those without a gradient stay as they are.
        factors: By encoder, ``(M,)``.
    """

    def __init__(self, encoders: Sequence[Sequence[nn.Parameter]], factors: Sequence[float] | Tensor) -> None:
        self._held = [
            (parameter, torch.as_tensor(factor), parameter.detach().clone())
            for factor, parameters in zip(factors, encoders, strict=True)
            for parameter in parameters
            if parameter.grad is not None
        ]

    @torch.no_grad()
    def finish(self) -> None:
        """Scale the update, once the step is taken."""
        for parameter, factor, before in self._held:
            parameter.copy_(torch.lerp(before, parameter, factor.to(parameter)))


def is_unscaled(scaler: Any, optimizer: Optimizer | None) -> bool:
    """Return whether a gradient scaler has divided the gradients of an optimizer, or of one that wraps it.

    Of a scaler that is not PyTorch's, nobody knows; it counts as one that has.
    """
    if not isinstance(scaler, GradScaler):
        return True
    states = scaler._per_optimizer_states
    found = [states[id(optimizer)]] if id(optimizer) in states else list(states.values())
    return any(state['stage'] is not OptState.READY for state in found)
