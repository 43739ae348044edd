"""Encoders' learning rates, changed for one update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch.optim import Optimizer


@contextmanager
def scaled_rates(optimizer: Optimizer, scales: Sequence[float], asked_by: str) -> Iterator[None]:
    """Scale the learning rate of each encoder by its entry of ``scales`` ``(M,)`` inside this context.

    The optimizer's groups say by ``modality``, an index, which encoder is theirs.

    Args:
        optimizer: The model's.
        scales: Factors, in the order of the modalities.
        asked_by: Who wants it, for the error.

    Raises:
        ValueError: If no group of the optimizer has a ``modality``.
    """
    groups = [group for group in optimizer.param_groups if group.get('modality') is not None]
    if not groups:
        raise ValueError(
            f'{asked_by} needs a parameter group an encoder, with its index as `modality`; in a config, '
            "`optim_wrapper.constructor='GuidedOptimWrapperConstructor'` makes them."
        )
    rates = [group['lr'] for group in groups]
    for group in groups:
        group['lr'] = group['lr'] * scales[group['modality']]
    try:
        yield
    finally:
        for group, rate in zip(groups, rates, strict=True):
            group['lr'] = rate
