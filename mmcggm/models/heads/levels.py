"""What heads that decode a whole pyramid ask of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def check_levels(levels: Sequence[Tensor], in_channels: Sequence[int]) -> None:
    """Raise a ValueError unless levels ``(N, C, *)`` of a pyramid have the channels that a head expects."""
    found = [level.shape[1] for level in levels]
    if found != list(in_channels):
        raise ValueError(
            f'`decode_head.in_channels` is {list(in_channels)}, but the backbone gives {len(found)} levels '
            f'with {found} channels: set it to these, and what belongs to them.'
        )
