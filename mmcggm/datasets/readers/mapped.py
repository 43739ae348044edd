"""Arrays that stay in their file until they are indexed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np


class MappedArray:
    """An array in a file, mapped into memory: reading a row reads that row.

    Forked workers share the map, others make their own.

    Args:
        path: The file.
        dtype: Of the array.
        offset: Where in the file it begins, in bytes.
        shape: Of the array.
        order: ``'C'`` or ``'F'``.

    Raises:
        ValueError: If the file is too short for it.
    """

    def __init__(
        self, path: Path, dtype: np.dtype, offset: int, shape: tuple[int, ...], order: Literal['C', 'F'] = 'C'
    ) -> None:
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if min(shape, default=0) < 0 or path.stat().st_size < offset + size:
            raise ValueError(
                f'{path} is cut off: it should hold {size} bytes for shape {shape} of {dtype}, and has '
                f'{path.stat().st_size - offset}. Get it again.'
            )
        self.shape, self.dtype, self.ndim, self.nbytes = shape, dtype, len(shape), size
        self._arguments = (path, dtype, offset, shape, order)
        # numpy can't map nothing; its own class of maps takes several times as long to index.
        self._map = (
            np.asarray(np.memmap(path, dtype, 'r', offset, shape, order)) if size else np.empty(shape, dtype)
        )

    def __reduce__(self) -> tuple:
        return type(self), self._arguments  # not the values, which numpy would send

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        return self._map[index]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._map, dtype)
