"""Which samples of a batch have which modality, and what follows for those that lack one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmcggm.structures.nested import describe

from .tasks import find_target


def find_present(batch: Mapping[str, Any], path: str, modality: str) -> Tensor | None:
    """Return which samples have a modality, bool ``(N,)`` on the CPU, or None if all have it.

    Args:
        batch: What the model's ``forward`` was called with, by argument name. One that lacks the argument in
            which ``path`` begins, or has None for it, says nothing: then all samples have all.
        path: Where it says, by modality, what is there.
        modality: Its name.

    Raises:
        ValueError: If the argument is there and says nothing of the modality, or not of each sample.
    """
    if batch.get(path.partition('.')[0]) is None:
        return None
    there = find_target(dict(batch), f'{path}.{modality}', setting='model.present')
    if there.ndim != 1:
        raise ValueError(
            f"`model.present`: '{path}.{modality}' must tell of each sample whether it has it, (N,), "
            f'got {describe(there)}.'
        )
    there = there.bool().cpu()
    return None if there.all() else there


def zero_where_absent(tensor: Tensor, there: Tensor | None) -> Tensor:
    """Return a representation ``(N, ...)`` with zeros for samples that lack its modality.

    Args:
        tensor: Or that of a part of the one sample, or of samples that all lack it.
        there: What :func:`find_present` returned.

    Raises:
        ValueError: If samples differ in what is there, and the tensor is not of them.
    """
    if there is None:
        return tensor
    if there.any() and (tensor.ndim == 0 or len(tensor) != len(there)):
        raise ValueError(
            f'A representation is {describe(tensor)}, but {len(there)} samples differ in whether they have '
            'its modality, so that its first axis must be theirs. Name another `representation`, or take '
            '`batch_size=1`.'
        )
    absent = ~there if there.any() else ~there[:1]
    return tensor.masked_fill(absent.to(tensor.device).view(-1, *[1] * (tensor.ndim - 1)), 0)


def of_samples(value: Any, there: Tensor | None) -> Any:
    """Return what belongs to the samples that are there, of a nested value.

    That is the rows of tensors ``(N, ...)``, and the elements of lists of N; all else stays.
    """
    if there is None:
        return value
    rows = torch.nonzero(there).flatten()
    if isinstance(value, Tensor):
        return value[rows.to(value.device)] if value.ndim and len(value) == len(there) else value
    if isinstance(value, Mapping):
        return {name: of_samples(part, there) for name, part in value.items()}
    if isinstance(value, (list, tuple)) and len(value) == len(there):
        return [value[row] for row in rows.tolist()]
    return value


def in_batch(value: Tensor, there: Tensor | None) -> Tensor:
    """Return rows of the samples that are there in their places ``(N, ...)``, and zeros in the others."""
    if there is None:
        return value
    result = value.new_zeros((len(there), *value.shape[1:]))
    return result.index_put((torch.nonzero(there).flatten().to(value.device),), value)
