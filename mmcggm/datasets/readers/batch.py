"""Samples that were read together stay together, which saves taking them apart and stacking them again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, default_collate
from torch import Generator, Tensor

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


class BatchedDataset(BaseDataset):
    """A data set in memory, whose samples are read several at a time, which takes a fraction of the time.

    Its list of samples is an array of numbers, a row a sample, so that ``serialize_data`` is False by
    default: MMEngine collects garbage before it serializes, which takes longer than an epoch of a small set.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault('serialize_data', False)
        super().__init__(*args, **kwargs)

    @abstractmethod
    def read(self, indices: Sequence[int], generator: Generator | None = None) -> Mapping[str, Any]:
        """Return several samples, nested dicts of tensors ``(N, ...)``.

        What is random comes from ``generator``, or from PyTorch's global one.
        """

    def rows(self, indices: Sequence[int]) -> np.ndarray:
        """Return what the list of samples has of several."""
        if not isinstance(self.data_list, np.ndarray):
            self.data_list = np.asarray(self.data_list)  # a subset, of which MMEngine makes a list
        return self.data_list[indices]

    @property
    def draws_at_random(self) -> bool:
        """Whether what is read may differ from time to time; then it is seeded for each batch."""
        return bool(self.pipeline.transforms)

    @property
    def takes_generator(self) -> bool:
        """Whether all that is random comes from the ``generator`` of ``__getitems__``."""
        return not self.pipeline.transforms

    def prepare_data(self, idx: int) -> dict:
        """Read a sample and run the pipeline."""
        return self.__getitems__([idx])[0]

    def __getitems__(self, indices: Sequence[int], generator: Generator | None = None) -> Sequence[dict]:
        """Return several samples; PyTorch's data loader asks so."""
        if not self._fully_initialized:
            self.full_init()
        items = FeatureBatch(self.read(indices, generator), len(indices))
        return [self.pipeline(item) for item in items] if self.pipeline.transforms else items


@FUNCTIONS.register_module()
def collate_features(items: Sequence) -> Any:
    """Return a batch of ``items``, as ``default_collate`` does; at once if they are one already."""
    return items.stacked if isinstance(items, FeatureBatch) else default_collate(items)


def _item(stacked: Any, place: int) -> Any:
    if isinstance(stacked, Tensor):
        return stacked[place]
    return {name: _item(value, place) for name, value in stacked.items()}
