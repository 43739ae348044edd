"""The gradient at many parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def gradient_of(loss: Tensor | None, parameters: Sequence[nn.Parameter], like: Tensor) -> Tensor:
    """Return the gradient of ``loss`` at ``parameters``, ``(P,)``; zero if there is no loss.

    Args:
        loss: A scalar, whose graph stays, or None.
        parameters: Of ``P`` numbers in all; an encoder that is frozen has none.
        like: A tensor of the data type and device of the result.
    """
    if loss is None or not parameters:
        return _flat((torch.zeros_like(p) for p in parameters), like)
    return _flat(torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True), like)


def accumulated(parameters: Sequence[nn.Parameter], like: Tensor) -> Tensor:
    """Return what backward has left at ``parameters``, ``(P,)``; zero where it has left nothing."""
    return _flat((torch.zeros_like(p) if p.grad is None else p.grad for p in parameters), like)


def refuse_sharded(parameters: Iterable[nn.Parameter], asked_by: str) -> None:
    """Raise a ValueError, which says that ``asked_by`` can't, if a parameter is sharded."""
    if any(isinstance(parameter, DTensor) for parameter in parameters):
        raise ValueError(
            f'{asked_by} needs whole parameters, but the encoders are sharded: train with '
            '`model_wrapper_cfg` (DDP) or on one device instead of `strategy` (FSDP).'
        )


def _flat(tensors: Iterable[Tensor], like: Tensor) -> Tensor:
    return torch.cat([like.detach().new_zeros(0), *(tensor.detach().flatten() for tensor in tensors)])
