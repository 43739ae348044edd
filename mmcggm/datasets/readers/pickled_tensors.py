"""PyTorch's tensors in pickles of their own kind: ``pickle.dump`` of a tensor, not ``torch.save``."""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import numpy as np
import torch


class PickledTensorError(ValueError):
    """What should be a tensor is none; the message goes on after the name of a file."""


def load_from_bytes(content: object) -> torch.TypedStorage:
    """Stand for PyTorch's function: the numbers of tensors, read as data.

    Raises:
        PickledTensorError: If they are anything else.
    """
    if not isinstance(content, bytes):
        raise PickledTensorError('makes the numbers of a tensor of something else than bytes.')
    try:
        storage = torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a malformed file raises whatever its garbage leads to
        raise PickledTensorError(
            f'holds a tensor that is damaged, or more than data ({type(error).__name__}).'
        ) from None
    if not isinstance(storage, torch.TypedStorage):
        raise PickledTensorError(f'makes a tensor of a {type(storage).__name__}.')
    return storage


def rebuild_tensor(storage: object, offset: object, shape: object, strides: object, *_: Any) -> np.ndarray:
    """Stand for PyTorch's function: a tensor, as an array of its own memory.

    Raises:
        PickledTensorError: If it would reach beyond its numbers, or repeat them.
    """
    whole = [offset, *_sides(shape), *_sides(strides)]
    if (
        not isinstance(storage, torch.TypedStorage)
        or len(_sides(shape)) != len(_sides(strides))
        or any(type(n) is not int or n < 0 for n in whole)
    ):
        raise PickledTensorError(
            'makes a tensor of something else than numbers, a place, a shape and strides.'
        )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # PyTorch means to drop this kind of storage, which old files hold
        numbers, available = storage.untyped(), storage.size()
    size = math.prod(shape)
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if size > available or (size and last >= available):
        raise PickledTensorError(f'has a tensor of shape {shape} with {available} numbers.')
    flat = torch.tensor([], dtype=storage.dtype).set_(numbers, 0, (available,), (1,))
    tensor = torch.as_strided(flat, shape, strides, offset)
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).clone().numpy()


def _sides(value: object) -> tuple:
    return value if isinstance(value, tuple) and len(value) <= 32 else (None,)
