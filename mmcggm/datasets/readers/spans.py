"""Where in a padded sequence its tokens stand."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mmengine.logging import print_log


def spans_of_rows(real: np.ndarray) -> np.ndarray:
    """Return for each sequence the first row that is real, and the one after the last.

    Args:
        real: Which rows count, bool ``(N, L)``.

    Returns:
        int64 ``(N, 2)``, from 0 to L, never of an empty sequence: of one without any real row, the first
        counts.
    """
    start, stop = _extent(real)
    return np.stack([start, np.maximum(stop, start + 1)], axis=1)


def _extent(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of each sequence that is real, and the one after the last; 0 and 0 without any."""
    stop = real.shape[1] - real[:, ::-1].argmax(axis=1)
    return real.argmax(axis=1), np.where(real.any(axis=1), stop, 0)


def spans_of_lengths(lengths: Any, key: str, modality: str, real: np.ndarray, where: str) -> np.ndarray:
    """Return the spans of sequences whose lengths are given; where the padding stands is seen from the data.

    A length says how many rows count, and not which. Rows other than zero must all be among them, so that of
    two places, the start and the end, nearly always one is left; where both are, a sequence stands where most
    others of the split do.

    Args:
        lengths: ``(N,)`` or ``(N, 1)``.
        key: What messages call them.
        modality: What messages call the sequences.
        real: Which rows are not zero, bool ``(N, L)``.
        where: What messages call the file.

    Returns:
        int64 ``(N, 2)``, see :func:`spans_of_rows`.

    Raises:
        ValueError: If lengths are none, or not those of the features.
    """
    max_length = real.shape[1]
    lengths = _whole_numbers(lengths, key, len(real), where)
    first, last = _extent(real)
    cut = (lengths > max_length) & real[:, 0] & real[:, -1]
    lengths = np.where(cut, max_length, lengths)
    _refuse(lengths > max_length, key, where, f"is beyond the {max_length} rows of '{modality}'", lengths)
    _refuse(
        (lengths == 0) & (last > 0), key, where, f"is 0, but '{modality}' has rows other than zero", lengths
    )
    for count, what in (
        ((lengths == 0).sum(), 'have length 0: one row of zeros stands for each'),
        (cut.sum(), f'were cut to {max_length} rows, by their lengths'),
    ):
        if count:
            print_log(f"{where}: {count} samples of '{modality}' {what}.", 'current', logging.WARNING)
    lengths = np.maximum(lengths, 1)
    at_start, at_end = last <= lengths, first >= max_length - lengths
    at_end |= last == 0  # nothing but zeros
    exact = last - first == lengths
    _refuse(
        ~(at_start | at_end | exact),
        key,
        where,
        f"doesn't fit the rows of '{modality}' that are not zero: they reach further, or stand away from "
        'both ends, so that the padding is not zero or the length is that of something else',
        lengths,
    )
    mostly_at_end = (at_end & ~at_start).sum() > (at_start & ~at_end).sum()
    start = np.where(at_end & (mostly_at_end | ~at_start), max_length - lengths, 0)
    start = np.where(at_start | at_end, start, first)
    return np.stack([start, start + lengths], axis=1)


def _whole_numbers(lengths: Any, key: str, samples: int, where: str) -> np.ndarray:
    try:
        numbers = np.asarray(lengths)
        numbers = numbers[:, 0] if numbers.shape == (samples, 1) else numbers
        values = numbers.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: '{key}' holds no numbers ({error}).") from error
    if numbers.shape != (samples,) or numbers.dtype.kind not in 'iufO':
        raise ValueError(
            f"{where}: '{key}' has shape {numbers.shape}, expected ({samples},), and type {numbers.dtype}, "
            'expected integers.'
        )
    _refuse(~np.isfinite(values), key, where, 'is no whole number', values)
    _refuse(values % 1 != 0, key, where, 'is no whole number', values)
    _refuse(values < 0, key, where, 'is negative', values)
    _refuse(values > 2**31, key, where, 'is no length', values)
    return values.astype(np.int64)


def _refuse(bad: np.ndarray, key: str, where: str, what: str, values: np.ndarray) -> None:
    found = np.flatnonzero(bad)
    if len(found):
        raise ValueError(
            f"{where}: '{key}' of sample {found[0]}, {values[found[0]]:g}, {what} ({samples(found)}). "
            f"Correct the lengths, or take out '{key}': then rows of zeros at the ends are padding."
        )


def samples(found: np.ndarray) -> str:
    return f'{len(found)} samples: {found[:5].tolist()}{" and more" if len(found) > 5 else ""}'
