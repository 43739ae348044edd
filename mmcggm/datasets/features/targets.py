"""Labels of features: a class a row, several labels a row, or targets of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmcggm.datasets.readers.text_tables import number

KINDS = ('class', 'multilabel', 'regression')


@dataclass(frozen=True)
class Targets:
    """The labels of all rows.

    Attributes:
        values: Of ``'class'`` int64 ``(N,)``; of ``'multilabel'`` float32 ``(N, K)`` of 0 and 1; of
            ``'regression'`` float32 ``(N,)`` or ``(N, D)``.
        kind: One of these three.
        classes: Names of classes or labels; empty of a regression.
    """

    values: np.ndarray
    kind: str
    classes: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """How many numbers a model predicts."""
        if self.kind == 'regression':
            return self.values.shape[1] if self.values.ndim == 2 else 1
        return len(self.classes)


def read_targets(raw: Any, kind: str, classes: int | Sequence | None, where: str) -> Targets:
    """Bring labels to one form.

    Args:
        raw: As the file has them.
        kind: One of ``KINDS``.
        classes: How many classes there are, of labels from 0 on; or what the file calls them, in order, text
            or numbers. Of several labels a row, their names, or None. None for a regression.
        where: What messages call the labels.

    Raises:
        ValueError: If labels don't fit; it names a row, and the setting.
    """
    if kind not in KINDS:
        raise ValueError(f'`target` must be one of {KINDS}, got {kind!r}.')
    if classes is not None and not isinstance(classes, (int, list, tuple)):
        raise ValueError(
            '`classes` must be a number or a list of names in order, got the '
            f'{type(classes).__name__} {classes!r}.'
        )
    if isinstance(raw, list):
        raise ValueError(f'{where} must be one array, but its entries differ in length.')
    raw = np.asarray(raw)
    while raw.ndim > 1 and raw.shape[-1] == 1:
        raw = raw[..., 0]
    if raw.ndim not in (1, 2) or not len(raw):
        raise ValueError(f'{where} has shape {raw.shape}; it must be labels (N,) or (N, K).')
    if kind == 'class':
        return _classes(raw, classes, where)
    numbers = _numbers(raw, where)
    if kind == 'regression':
        if classes is not None:
            raise ValueError("`classes` is for `target='class'` and `'multilabel'`; a regression has none.")
        return Targets(numbers, kind, ())
    if numbers.ndim != 2:
        raise ValueError(f"{where} has shape {raw.shape}; `target='multilabel'` needs (N, K) of 0 and 1.")
    names = _names(classes, numbers.shape[1])
    if len(names) != numbers.shape[1]:
        raise ValueError(f'{where} has {numbers.shape[1]} labels a row, but `classes` names {len(names)}.')
    bad = np.argwhere((numbers != 0) & (numbers != 1))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f'{where} must be 0 or 1, but row {row} has {numbers[row, column]:g} in column {column}.'
        )
    return Targets(numbers, kind, names)


def _classes(raw: np.ndarray, classes: int | Sequence | None, where: str) -> Targets:
    if classes is None:
        found = sorted(set(raw.ravel().tolist()))[:12] if raw.ndim == 1 else raw.shape
        raise ValueError(
            '`classes` must say which classes there are, since a split may lack some: their number, if '
            f'{where} counts them from 0 on, or a list of what it calls them. It holds {found}.'
        )
    names = _names(classes, 0)
    if len(names) < 2:
        raise ValueError(f'`classes` must name two or more, got {classes!r}.')
    if raw.ndim == 2:
        raw = _from_one_hot(raw, len(names), where)
    elif not isinstance(classes, int):
        return Targets(_indices(raw, list(classes), where), 'class', names)
    numbers = _numbers(raw, where)
    bad = np.flatnonzero((numbers % 1 != 0) | (numbers < 0) | (numbers >= len(names)))
    if len(bad):
        raise ValueError(
            f'{where} must be whole numbers from 0 to {len(names) - 1}, the indices of {len(names)} '
            f'classes, but row {bad[0]} has {numbers[bad[0]]:g} ({len(bad)} such rows). Correct `classes`: '
            'its number, or a list of what the file calls them, such as '
            f'{sorted(set(numbers.tolist()))[:6]}.'
        )
    return Targets(numbers.astype(np.int64), 'class', names)


def _indices(raw: np.ndarray, classes: list, where: str) -> np.ndarray:
    is_text = raw.dtype.kind in 'US'
    known = {str(name) if is_text else name: index for index, name in enumerate(classes)}
    if len(known) < len(classes):
        raise ValueError(f'`classes` names one twice: {classes}.')
    found = np.unique(raw)
    unknown = [value for value in found.tolist() if value not in known]
    if unknown:
        row = int(np.flatnonzero(raw == unknown[0])[0])
        raise ValueError(
            f'{where} holds {unknown[0]!r} in row {row}, which `classes` does not name: {classes}. '
            f'The file has {found.tolist()[:12]}.'
        )
    return np.array([known[value] for value in raw.tolist()], np.int64)


def _from_one_hot(raw: np.ndarray, count: int, where: str) -> np.ndarray:
    numbers = _numbers(raw, where)
    if numbers.shape[1] != count or not np.isin(numbers, (0, 1)).all() or (numbers.sum(axis=1) != 1).any():
        raise ValueError(
            f'{where} has shape {raw.shape}; classes are (N,), or (N, {count}) with a single 1 in each row. '
            "For several labels a row set `target='multilabel'`."
        )
    return numbers.argmax(axis=1)


def _names(classes: int | Sequence | None, columns: int) -> tuple[str, ...]:
    if classes is None or isinstance(classes, int):
        return tuple(str(index) for index in range(columns if classes is None else classes))
    return tuple(str(name) for name in classes)


def _numbers(raw: np.ndarray, where: str) -> np.ndarray:
    """Return float32, also of numbers that are written as text, as many an HDF5 file and pickle has them."""
    if raw.dtype.kind == 'U':
        written = [number(text) for text in raw.ravel().tolist()]
        if None in written:
            raise ValueError(
                f'{where} holds {raw.ravel()[written.index(None)].item()!r}, no number. If these are '
                'names of classes, list them in `classes`.'
            )
        raw = np.array(written).reshape(raw.shape)
    elif raw.dtype.kind not in 'biuf':
        raise ValueError(f'{where} holds {raw.dtype}, and neither numbers nor text.')
    numbers = np.asarray(raw, np.float32)
    bad = np.flatnonzero(~np.isfinite(numbers.reshape(len(numbers), -1)).all(axis=1))
    if len(bad):
        raise ValueError(
            f'{where} is missing or infinite in {len(bad)} rows, among them '
            f'{bad[:5].tolist()}. Leave them out.'
        )
    return numbers
