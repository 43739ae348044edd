"""The gradient at many parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from .pass_record import Pass


def gradient_of(seen: Pass, loss: Tensor | None, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the gradient of ``loss`` at ``parameters``, ``(P,)``; zero if there is no loss.

    Args:
        seen: The pass that the loss is of.
        loss: A scalar, whose graph stays, or None.
        parameters: Of ``P`` numbers in all; an encoder that is frozen has none.
    """
    if loss is None:
        return _flat((torch.zeros_like(p) for p in parameters), seen.task_loss)
    return _flat(seen.gradients(loss, parameters), seen.task_loss)


def accumulated(parameters: Sequence[nn.Parameter], like: Tensor) -> Tensor:
    """Return what backward has left at ``parameters``, ``(P,)``; zero where it has left nothing."""
    return _flat((torch.zeros_like(p) if p.grad is None else p.grad for p in parameters), like)


def _flat(tensors: Iterable[Tensor], like: Tensor) -> Tensor:
    return torch.cat([like.detach().new_zeros(0), *(tensor.detach().flatten() for tensor in tensors)])
