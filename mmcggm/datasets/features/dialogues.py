"""Arrays of utterances by dialogue, of which each utterance becomes a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmcggm.datasets.readers.mapped import MappedArray


def utterances_of(found: Any, labels: np.ndarray | MappedArray | list) -> np.ndarray:
    """Return which utterances count, bool ``(D, U)``, or how many of each dialogue, int ``(D,)``.

    Args:
        found: What the source of either holds; None if all utterances count that have a label.
        labels: By dialogue, ``(D, U, ...)`` or a list of ``(U_i, ...)``.

    Raises:
        ValueError: If it is neither.
    """
    if found is None:
        if not isinstance(labels, list) and labels.ndim < 2:
            raise ValueError(
                f'`dialogues` is True, but `labels` has shape {labels.shape}: it must have the labels of the '
                'utterances of each dialogue.'
            )
        return np.array([len(of_dialogue) for of_dialogue in labels], np.int64)
    found = np.empty(0) if isinstance(found, list) else np.asarray(found)
    numbers = found.dtype.kind in 'biuf' and len(found) > 0
    if found.ndim == 2 and numbers and np.isin(found, (0, 1)).all():
        return found.astype(bool)
    if found.ndim == 1 and numbers and (found % 1 == 0).all() and (found >= 0).all():
        return found.astype(np.int64)
    raise ValueError(
        '`dialogues` must be a mask (D, U) of 0 and 1, or how many utterances each dialogue has, whole '
        f'numbers (D,), but is {found.dtype} of shape {found.shape}'
        + (f' with values from {found.min():g} to {found.max():g}.' if numbers else '.')
    )


def flatten_dialogues(
    values: np.ndarray | MappedArray | list, mask: np.ndarray | Sequence[int], where: str
) -> np.ndarray:
    """Return the utterances of all dialogues ``(K, ...)``, of values ``(D, U, ...)`` or a list of ``(U_i,
    ...)``.

    Args:
        values: By dialogue.
        mask: Which utterances count, bool ``(D, U)``, or how many of each dialogue, int ``(D,)``.
        where: What messages call the values.

    Raises:
        ValueError: If there are other dialogues or utterances than in ``mask``.
    """
    mask = np.asarray(mask)
    if len(values) != len(mask):
        raise ValueError(f'{where} has {len(values)} dialogues, but the mask {len(mask)}.')
    if isinstance(values, list):
        counts = mask.sum(axis=1) if mask.ndim == 2 else mask
        bad = np.flatnonzero([len(value) != count for value, count in zip(values, counts, strict=True)])
        if len(bad):
            raise ValueError(
                f'{where} has {len(values[bad[0]])} utterances in dialogue '
                f'{bad[0]}, where {counts[bad[0]]} count.'
            )
        return np.concatenate(values)
    values = np.asarray(values)
    if mask.ndim == 1:
        if values.ndim < 2 or mask.max(initial=0) > values.shape[1]:
            raise ValueError(
                f'{where} has shape {values.shape}, too few utterances for a dialogue of '
                f'{mask.max(initial=0)}.'
            )
        mask = np.arange(values.shape[1]) < mask[:, None]
    if values.shape[:2] != mask.shape:
        raise ValueError(f'{where} has shape {values.shape}, but the mask of utterances {mask.shape}.')
    kept = values[mask]
    if values.ndim > 2 and values.dtype.kind in 'biuf' and values.any() and not kept.any():
        raise ValueError(
            f'{where} is zero wherever `dialogues` says that an utterance counts, and not elsewhere: its '
            'mask marks the padding. 1 must mark what counts; save the mask inverted.'
        )
    return kept
