"""Encoders' updates, scaled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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
