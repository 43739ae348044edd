"""Matrices by name in one HDF5 file, read one at a time, from any number of processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mmengine.logging import print_log

from mmcggm.utils import import_optional

from .h5_files import EXTRA, numbers, open_h5, reading, some

if TYPE_CHECKING:
    import h5py


class H5Features:
    """An HDF5 file that holds a matrix ``(L, C)`` for each name.

    The file stays open from the first read on, in each process on its own: a worker must not share the
    open file of the process it was forked from, nor can one be pickled.

    Args:
        path: The file.

    Raises:
        ImportError: At any use, if h5py is not installed.
        FileNotFoundError: At any use, if the file is missing.
        ValueError: At any use, if it cannot be read as HDF5.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = None
        self._owner = 0  # the process that opened the file

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_file': None}

    def check(self, names: Sequence[str], source: str = 'the config') -> tuple[list[int], int]:
        """Check the matrices of ``names``, which ``source`` gives, without reading them.

        Returns:
            L of each, and C.

        Raises:
            ValueError: If one is missing, is no matrix of numbers, is empty, differs in C from the first, or
                lies in another file.
        """
        with reading(self.path), open_h5(self.path) as file:
            found = {name: numbers(file, name) for name in names}
            shapes = {name: values if values is None else values.shape for name, values in found.items()}
        missing = [name for name, shape in shapes.items() if shape is None]
        if missing:
            raise ValueError(
                f'{self.path} lacks {len(missing)} of the {len(shapes)} names in {source}: {some(missing)}.'
            )
        channels = shapes[names[0]][-1:]
        bad = [f'{n} {s}' for n, s in shapes.items() if len(s) != 2 or s[1:] != channels or 0 in s]
        if bad:
            raise ValueError(
                f'{self.path} must hold matrices (L, C) of one C, not empty, but holds {some(bad)}. '
                'The file is damaged or of another kind; get it again.'
            )
        return [shapes[name][0] for name in names], *channels

    def read(self, name: str) -> np.ndarray:
        """Return the matrix at ``name`` as float32 ``(L, C)``.

        Raises:
            ValueError: If it holds NaN or infinity, or can't be read.
        """
        if self._file is not None and self._owner != os.getpid():
            self._file.close()  # a fork's copy, with which HDF5 would mix up the file that is opened next
            self._file = None
        if self._file is None:
            self._file, self._owner = open_h5(self.path), os.getpid()
        with reading(self.path, name):
            features = _read(self._file, name).astype(np.float32, copy=False)  # faster than HDF5's conversion
        if not np.isfinite(features).all():
            raise ValueError(f"{self.path}: '{name}' holds NaN or infinity. Mend it, or leave it out.")
        return features

    def statistics(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation ``(C,)``, float32, over all rows of ``names``.

        A constant channel's deviation is 1. Computed once a process, until the file changes.
        """
        return _statistics(self.path, self.path.stat().st_mtime_ns, tuple(names))


def _read(file: h5py.File, name: str) -> np.ndarray:
    """Return a data set, by h5py's lower interface: that takes half the time, which counts for small ones."""
    h5py = import_optional('h5py', EXTRA)
    dataset = h5py.h5d.open(file.id, name.encode())
    values = np.empty(dataset.shape, dataset.dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


@cache
def _statistics(path: Path, modified: int, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    scaler = import_optional('sklearn.preprocessing', EXTRA).StandardScaler()
    print_log(f'Computing mean and standard deviation of {len(names)} matrices in {path}.', 'current')
    features = H5Features(path)
    features.check(names)
    for name in names:
        scaler.partial_fit(features.read(name))
    return scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32)
