"""Labels, compared with the task before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def check_classes(labels: np.ndarray, classes: Sequence[str], where: str) -> None:
    """Raise a ValueError unless ``labels`` are indices of ``classes``.

    Args:
        labels: Shape (N,).
        classes: Their names.
        where: What the message calls the labels.
    """
    bad = np.flatnonzero(~np.isin(labels, range(len(classes))))
    if labels.ndim != 1 or labels.dtype.kind not in 'iu' or len(bad):
        found = f', such as {labels[bad[0]]} of sample {bad[0]}' if labels.ndim == 1 and len(bad) else ''
        raise ValueError(
            f'{where} must be whole numbers (N,) from 0 to {len(classes) - 1}, the indices of {len(classes)} '
            f'classes, but are {labels.dtype} of shape {labels.shape}{found}.'
        )


def check_lengths(columns: Mapping[str, np.ndarray], where: str) -> None:
    """Raise a ValueError unless all columns have as many rows."""
    rows = {name: len(column) if column.ndim else None for name, column in columns.items()}
    if len(set(rows.values())) > 1 or None in rows.values():
        raise ValueError(f'{where} must hold as many of each, but has {rows}.')
