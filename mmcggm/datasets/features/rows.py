"""The samples of one modality: vectors, or sequences with or without padding."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
from mmengine.logging import print_log

from mmcggm.datasets.readers.mapped import MappedArray
from mmcggm.datasets.readers.spans import spans_of_rows

CHUNK = 1 << 24  # numbers that are looked at in one go
LARGE = 1 << 30  # bytes from which on values in a file are checked sample by sample, when they are read


class FeatureRows:
    """The samples of one modality.

    Args:
        values: Vectors ``(N, C)``, numbers ``(N,)`` (which are vectors of one channel), sequences ``(N, L,
            C)``, or a list of sequences ``(L_i, C)``.
        where: What messages call them.
        channels: Which of the last axis to take.
        spans: Of padded sequences: the first token that counts and the one after the last, int ``(N, 2)``.

    Attributes:
        channels: C.
        max_length: The longest sequence; None of vectors.
        padded: Whether sequences may be shorter than that.

    Raises:
        ValueError: If the values have another shape, or hold anything but finite numbers.
    """

    def __init__(
        self,
        values: np.ndarray | MappedArray | list,
        where: str,
        channels: slice = slice(None),
        spans: np.ndarray | None = None,
    ) -> None:
        self._where = where
        self._channels = channels
        self._spans = spans
        self._values, self.shape = _in_shape(values, where)
        self.channels = len(range(*channels.indices(self.shape[-1])))
        if not self.channels:
            raise ValueError(f'{where} has shape {self.shape}: no channel is left of it.')
        self.max_length: int | None = None
        if len(self.shape) == 3:
            lengths = self.lengths(np.arange(len(self)))
            self.max_length = int(lengths.max(initial=1))
        self.padded = isinstance(values, list) or spans is not None
        self._checks_samples = isinstance(values, MappedArray) and values.nbytes > LARGE
        if not self._checks_samples:
            for start, chunk in self._chunks(np.arange(len(self))):
                self._check(chunk, start)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, row: int) -> np.ndarray:
        """Return a vector ``(C,)`` or the tokens ``(L, C)`` that count, float32.

        Raises:
            ValueError: If it isn't finite.
        """
        values = self._values[row]
        if self._spans is not None:
            start, stop = self._spans[row]
            values = values[start:stop]
        values = np.array(values[..., self._channels], np.float32)  # a copy, which transforms may write to
        if self._checks_samples and not np.isfinite(values).all():
            self._check(values[None], row)
        return values

    def batch(self, rows: np.ndarray) -> np.ndarray:
        """Return the samples of ``rows``, float32 ``(N, C)`` or ``(N, L, C)``, with zeros for padding.

        Raises:
            ValueError: If one isn't finite.
        """
        if self.padded:
            batch = np.zeros((len(rows), self.max_length, self.channels), np.float32)
            for place, row in enumerate(rows):
                values = self[row]
                batch[place, : len(values)] = values
            return batch
        batch = np.ascontiguousarray(self._values[rows][..., self._channels], np.float32)
        if self._checks_samples and not np.isfinite(batch).all():
            for row in rows:
                _ = self[row]  # which names it
        return batch

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Return how many tokens of each of ``rows`` count, int64 ``(N,)``."""
        if self._spans is not None:
            return self._spans[rows, 1] - self._spans[rows, 0]
        if isinstance(self._values, list):
            return np.array([len(self._values[row]) for row in rows], np.int64)
        return np.full(len(rows), self.shape[1], np.int64)

    def tokens(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Yield all vectors, or tokens that count, of ``rows``, in parts: ``(K, C)``, float64."""
        for start, chunk in self._chunks(rows):
            if len(self.shape) == 3 and not isinstance(self._values, list):
                spans = None if self._spans is None else self._spans[rows[start : start + len(chunk)]]
                if spans is not None:
                    place = np.arange(chunk.shape[1])
                    chunk = chunk[(place >= spans[:, :1]) & (place < spans[:, 1:])]
            yield np.asarray(chunk, np.float64).reshape(-1, self.channels)

    def _chunks(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield places in ``rows`` and their values: padding, too, unless samples differ in length."""
        if isinstance(self._values, list):
            for place, row in enumerate(rows):
                span = slice(None) if self._spans is None else slice(*self._spans[row])
                yield place, self._values[row][None, span, self._channels]
            return
        step = max(1, CHUNK // max(1, int(np.prod(self.shape[1:]))))
        for start in range(0, len(rows), step):
            yield start, self._values[rows[start : start + step]][..., self._channels]

    def _check(self, values: np.ndarray, first: int) -> None:
        with np.errstate(over='ignore'):
            finite = np.isfinite(np.asarray(values, np.float32))
        if not finite.all():
            bad = first + np.flatnonzero(~finite.reshape(len(values), -1).all(axis=1))
            raise ValueError(
                f'{self._where} holds {int((~finite).sum())} values that are missing, infinite or beyond '
                f'float32, in rows {bad[:5].tolist()}{" and more" if len(bad) > 5 else ""}. Set them to '
                'numbers, or leave these rows out.'
            )


def _in_shape(
    values: np.ndarray | MappedArray | list, where: str
) -> tuple[np.ndarray | MappedArray | list, tuple[int, ...]]:
    if isinstance(values, list):
        widths = {value.shape[1:] for value in values}
        kinds = {value.dtype.kind for value in values}
        lengths = [len(value) for value in values if value.ndim]
        if len(widths) > 1 or len(widths.pop()) != 1 or not kinds <= set('biuf') or min(lengths) < 1:
            shapes = sorted({value.shape for value in values})[:5]
            raise ValueError(
                f'{where} must hold sequences (L, C) of numbers with one C, none of them empty, but holds '
                f'arrays of the shapes {shapes} and the types '
                f'{sorted({str(value.dtype) for value in values})}.'
            )
        return values, (len(values), max(lengths), values[0].shape[1])
    if values.dtype.kind not in 'biuf':
        what = f"text such as '{np.asarray(values).flat[0]}'" if values.dtype.kind in 'US' else values.dtype
        raise ValueError(f'{where} holds {what}, no real numbers.')
    if values.ndim == 1:
        values = np.asarray(values)[:, None]
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(
            f'{where} has shape {values.shape}; it must be vectors (N, C) or sequences (N, L, C), not empty.'
        )
    return values, tuple(values.shape)


def find_padding(values: np.ndarray | MappedArray | list, where: str) -> np.ndarray:
    """Return the spans of sequences whose padding is rows of zeros, at either end.

    Raises:
        ValueError: If they are no sequences ``(N, L, C)``.
    """
    return spans_of_rows(nonzero_rows(values, where))


def nonzero_rows(values: np.ndarray | MappedArray | list, where: str) -> np.ndarray:
    """Return which rows of sequences ``(N, L, C)`` hold anything but zeros, bool ``(N, L)``."""
    if isinstance(values, list) or values.ndim != 3:
        raise ValueError(
            f'{where} must hold padded sequences (N, L, C), but has '
            + ('sequences of different lengths.' if isinstance(values, list) else f'shape {values.shape}.')
            + ' Take it out of `padding` and `lengths`.'
        )
    step = max(1, CHUNK // max(1, int(np.prod(values.shape[1:]))))
    parts = [(values[start : start + step] != 0).any(axis=2) for start in range(0, len(values), step)]
    return np.concatenate(parts)


def cut_spans(spans: np.ndarray | None, rows: FeatureRows, limit: int, where: str) -> np.ndarray:
    """Return spans of at most ``limit`` tokens, the first that count, and say how many were cut."""
    lengths = rows.lengths(np.arange(len(rows)))
    cut = int((lengths > limit).sum())
    if cut:
        print_log(
            f'{where}: {cut} of {len(rows)} sequences are cut to {limit} '
            f'tokens, the longest from {lengths.max()}; '
            'see `max_length`.',
            'current',
            logging.WARNING,
        )
    starts = np.zeros(len(rows), np.int64) if spans is None else spans[:, 0]
    return np.stack([starts, starts + np.minimum(lengths, limit)], axis=1)
