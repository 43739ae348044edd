"""Samples that were read together stay together, which saves taking them apart and stacking them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import default_collate
from torch import Tensor

from mmcggm.registry import FUNCTIONS


class FeatureBatch(Sequence):
    """A sequence of items, which are views of the batch that they were read as.

    Args:
        stacked: The batch, nested dicts of tensors ``(N, ...)``.
        size: N.
    """

    def __init__(self, stacked: Mapping[str, Any], size: int) -> None:
        self.stacked = stacked
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(self._size))]
        if not -self._size <= place < self._size:
            raise IndexError(f'The batch has {self._size} items, there is none at {place}.')
        return _item(self.stacked, place)


@FUNCTIONS.register_module()
def collate_features(items: Sequence) -> Any:
    """Return a batch of ``items``, as ``default_collate`` does; at once if they are one already."""
    return items.stacked if isinstance(items, FeatureBatch) else default_collate(items)


def _item(stacked: Any, place: int) -> Any:
    if isinstance(stacked, Tensor):
        return stacked[place]
    return {name: _item(value, place) for name, value in stacked.items()}
