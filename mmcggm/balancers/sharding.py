"""Parameters that are sharded over processes (PyTorch's DTensor)."""

from __future__ import annotations

from torch import Tensor
from torch.distributed.tensor import DTensor


def is_sharded(tensor: Tensor) -> bool:
    """Return whether ``tensor`` is spread over processes."""
    return isinstance(tensor, DTensor)


def local_part(tensor: Tensor) -> Tensor:
    """Return what this process holds of ``tensor``."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
