"""Training data that is the same wherever a training is interrupted, and however many workers read it.

What is drawn at random in a batch depends on the seed and on the batch's place in the training, on nothing
that was drawn before it. So neither workers, whether they persist or not, nor an interruption change it, and
it differs from epoch to epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import Any

import torch
from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, get_worker_info

from mmcggm.utils.generators import other_generators, seed_generators, seed_of


class PlacedIndex(int):
    """The index of a sample, with its place in the training.

    Attributes:
        place: Number of the pass through the data set, and position in it over all processes.
    """

    place: tuple[int, int]

    def __new__(cls, index: int, place: tuple[int, int]) -> PlacedIndex:
        placed = super().__new__(cls, index)
        placed.place = place
        return placed

    def __getnewargs__(self) -> tuple[int, tuple[int, int]]:  # type: ignore[override]
        return int(self), self.place


class _Interruptible(Sampler):
    """Yields what ``inner`` does, and can go on with a pass that was begun; the rest is the inner one's."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self._last: Iterator | None = None
        self._begun: Iterator | None = None

    def __iter__(self) -> Iterator:
        self._last, self._begun = self._begun or self._pass(), None
        return self._last

    def __len__(self) -> int:
        return len(self.inner)

    def __getattr__(self, name: str) -> Any:
        if name == 'inner' or name.startswith('__'):  # asked before there is one, or of this object
            raise AttributeError(name)
        return getattr(self.inner, name)

    def go_on(self) -> None:
        """Let the next pass be what is left of the last."""
        self._begun = self._last

    def _pass(self) -> Iterator:
        return iter(self.inner)


class InterruptibleBatches(_Interruptible):
    """The batches of a batch sampler of any kind."""


class PlacedSampler(_Interruptible):
    """The indices of another sampler; those that a batch may begin with have their place.

    Args:
        inner: The other sampler.
        batch_size: Of the batches, where all have as many samples.

    Attributes:
        passes: Number of the next pass.
    """

    def __init__(self, inner: Any, batch_size: int = 1) -> None:
        super().__init__(inner)
        self.batch_size = batch_size
        self.passes = 0

    def _pass(self) -> Iterator[int]:
        number, self.passes = self.passes, self.passes + 1
        rank, processes = get_dist_info()
        for position, index in enumerate(self.inner):
            begins = position % self.batch_size == 0
            yield PlacedIndex(index, (number, position * processes + rank)) if begins else index


class SeededDataset(Dataset):
    """A data set that draws at random by the place of a batch in the training; the rest is the other's.

    It seeds the generators of Python, NumPy and PyTorch. In the training's own process they go on
    afterwards as if nothing had been drawn. A data set whose ``draws_at_random`` is False needs no seed, and
    one that ``takes_generator`` gets a generator instead, which draws the same and costs less.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset: Any = dataset
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Any]:
        first = indices[0]
        # Without a place somebody else reads the data set.
        if not isinstance(first, PlacedIndex) or not getattr(self.dataset, 'draws_at_random', True):
            return self._read(indices)
        key = self.seed, *first.place
        if getattr(self.dataset, 'takes_generator', False):
            return self.dataset.__getitems__(indices, torch.Generator().manual_seed(seed_of(*key)))
        with nullcontext() if get_worker_info() else other_generators():
            seed_generators(*key)
            return self._read(indices)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset' or name.startswith('__'):  # asked before there is one, or of this object
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def _read(self, indices: Sequence[int]) -> Sequence[Any]:
        indices = [int(index) for index in indices]
        if hasattr(self.dataset, '__getitems__'):
            return self.dataset.__getitems__(indices)
        return [self.dataset[index] for index in indices]


def resumable(loader: DataLoader, seed: int) -> DataLoader:
    """Return a loader of the same batches that can begin inside a pass and draws by place.

    One of an iterable data set, which only reading can bring to a place, is returned as it is, and so is one
    of a class of its own.
    """
    if isinstance(loader.dataset, IterableDataset) or type(loader) is not DataLoader:
        return loader
    batches: dict[str, Any] = dict(batch_size=loader.batch_size, drop_last=loader.drop_last)
    if loader.batch_size is None and loader.batch_sampler is not None:
        inner: Any = loader.batch_sampler
        if hasattr(inner, 'sampler'):
            inner.sampler = PlacedSampler(inner.sampler)
        batches = dict(batch_sampler=InterruptibleBatches(inner))
    else:
        batches['sampler'] = PlacedSampler(loader.sampler, loader.batch_size or 1)
    kept = {name: getattr(loader, name) for name in _KEPT}
    return DataLoader(SeededDataset(loader.dataset, seed), **batches, **kept)


_KEPT = (
    'num_workers',
    'collate_fn',
    'pin_memory',
    'timeout',
    'worker_init_fn',
    'multiprocessing_context',
    'generator',
    'prefetch_factor',
    'persistent_workers',
    'pin_memory_device',
    'in_order',
)


def placed_sampler(loader: DataLoader) -> PlacedSampler | None:
    """Return the sampler of a resumable loader that knows the place, None if there is none."""
    found = (loader.sampler, getattr(loader.batch_sampler, 'sampler', None))
    return next((sampler for sampler in found if isinstance(sampler, PlacedSampler)), None)


def begin_pass(loader: DataLoader, number: int) -> None:
    """Say which pass through the data set is the next, which begins at its beginning."""
    if (sampler := placed_sampler(loader)) is not None:
        sampler.passes = number


def end_workers(loader: DataLoader) -> None:
    """End the workers that a loader keeps for its next pass, which would start others.

    PyTorch ends them with the loader. It waits five seconds for each where Python's collector finds it, as it
    finds every runner's, so that a process of several trainings would stall now and then.
    """
    if isinstance(loader, DataLoader):
        loader._iterator = None


def skip_batches(loader: DataLoader, count: int, next_pass: Callable[[], None]) -> bool:
    """Let the next pass begin after ``count`` batches, which are not loaded.

    Args:
        loader: A resumable one.
        count: Number of batches; they may be those of several passes.
        next_pass: What is done before each pass but the first.

    Returns:
        Whether that is possible.
    """
    batches = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    begun = batches if isinstance(batches, _Interruptible) else loader.sampler
    if not isinstance(begun, _Interruptible):
        return False
    rest = iter(batches)
    while count:
        taken = sum(1 for _ in islice(rest, count))
        count -= taken
        if count:
            next_pass()
            rest = iter(batches)
    begun.go_on()
    return True
