"""The data sets inside of those that only repeat, join or draw from others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset

from .resumable_data import SeededDataset

AROUND_ONE = (SeededDataset, RepeatDataset, ClassBalancedDataset)


def inner_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that a data set is made of by MMEngine's wrappers; itself, if it is none."""
    if isinstance(dataset, AROUND_ONE):
        yield from inner_datasets(dataset.dataset)
    elif isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from inner_datasets(part)
    else:
        yield dataset
