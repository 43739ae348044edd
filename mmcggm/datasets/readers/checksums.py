"""Checksums of rows, checked when a row is first read."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterable

import numpy as np


def checksum(parts: Iterable[np.ndarray | bytes | str]) -> int:
    """Return the CRC-32 of arrays, bytes and text in a row, with the arrays' types and shapes."""
    result = 0
    for part in parts:
        if isinstance(part, np.ndarray):
            result = zlib.crc32(f'{part.dtype.str}{part.shape}'.encode(), result)
            part = np.ascontiguousarray(part)
        result = zlib.crc32(part.encode() if isinstance(part, str) else part, result)
    return result


def row_checksums(rows: Iterable[np.ndarray]) -> np.ndarray:
    """Return the CRC-32 of the bytes of each of N rows, uint32 ``(N,)``."""
    return np.array([zlib.crc32(np.ascontiguousarray(row)) for row in rows], np.uint32)


class FirstReads:
    """Which of ``count`` things have been checked, shared with processes that are forked later.

    So what is stored is checked once in a training, and not once an epoch.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._seen = mmap.mmap(-1, max(count, 1))

    def __reduce__(self) -> tuple:
        return type(self), (self._count,)

    def __contains__(self, index: int) -> bool:
        return bool(self._seen[index])

    def add(self, index: int) -> None:
        """Note that ``index`` is checked."""
        self._seen[index] = 1
