"""Which rows of a file belong to a split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmcggm.utils import import_optional
from mmcggm.utils.spelling import did_you_mean


def rows_by_name(names: np.ndarray, split: str, where: str) -> np.ndarray:
    """Return the rows whose name is ``split``.

    Raises:
        ValueError: If there is none.
    """
    rows = np.flatnonzero(names.astype(str) == split)
    if not len(rows):
        found = sorted(set(names.astype(str).tolist()))
        raise ValueError(
            f"{where} names no row '{split}'.{did_you_mean(split, found)} It holds "
            f'{found[:9]}; set `split` to one of these.'
        )
    return rows


def rows_by_place(
    places: np.ndarray, count: int, where: str, names: np.ndarray | None = None, by_name: bool = False
) -> np.ndarray:
    """Return the rows that ``places`` lists by name or index, or marks in a mask ``(count,)`` of bool.

    Args:
        places: Text if they are names.
        count: How many rows there are.
        where: What messages call the list.
        names: Of the rows, if they have any.
        by_name: Whether the rows have no order of their own, so that numbers, too, are names.

    Raises:
        ValueError: If it does none of these, or lists a row twice or one that isn't there.
    """
    if names is not None and (by_name or places.dtype.kind == 'U'):
        return _rows_of_names(places.astype(str), names, where)
    if places.dtype == bool and places.shape == (count,):
        rows = np.flatnonzero(places)
    else:
        rows = (
            places.ravel().astype(np.int64, copy=False)
            if places.dtype.kind in 'iu'
            else np.empty(0, np.int64)
        )
    bad = (rows < 0) | (rows >= count)
    if not len(rows) or bad.any() or len(np.unique(rows)) < len(rows):
        what = f'row {rows[bad][0]} of {count}' if bad.any() else f'{places.dtype} of shape {places.shape}'
        if len(rows) and not bad.any():
            what += ' with rows listed twice'
        if places.shape == (count,) and places.dtype.kind in 'iuf' and np.isin(places, (0, 1)).all():
            what += '. If it is a mask, save it as bool'
        elif (rows == count).any():
            what += '. If it counts from 1, as MATLAB does, subtract 1'
        elif places.dtype.kind == 'U':
            what += ', and the rows have no names'
        raise ValueError(
            f'{where} must list rows from 0 to {count - 1}, each once, or be a mask of {count} bools, but '
            f'holds {what}.'
        )
    return rows


def _rows_of_names(listed: np.ndarray, names: np.ndarray, where: str) -> np.ndarray:
    places = {name: place for place, name in enumerate(names.tolist())}
    unknown = [name for name in listed.tolist() if name not in places]
    if unknown or not len(listed) or len(set(listed.tolist())) < len(listed):
        what = (
            f'{len(unknown)} others, among them {unknown[:3]}' if unknown else f'{len(listed)}, or one twice'
        )
        raise ValueError(
            f'{where} must list names of rows, such as {names[:3].tolist()}, each once, but holds {what}.'
        )
    return np.array([places[name] for name in listed.tolist()], np.int64)


def assign_by_fraction(
    fractions: Mapping[str, float],
    count: int,
    seed: int,
    strata: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Return the split of each row, text ``(count,)``, drawn by scikit-learn.

    The order of ``fractions`` does not count: MMEngine sorts the names when it saves a config, and with a
    saved config, too, nothing may be tested that has trained.

    Args:
        fractions: Of each split; together one. With groups, fractions of the groups.
        count: How many rows.
        seed: Of the draw.
        strata: Class of each row, which the splits share evenly; not used with groups.
        groups: Of each row; no group is in two splits.

    Raises:
        ValueError: If fractions are none, or there are too few rows, groups or rows of a class for them.
    """
    names = sorted(fractions)
    shares = [fractions[name] for name in names]
    if (
        not all(isinstance(share, (int, float)) and share > 0 for share in shares)
        or abs(sum(shares) - 1) > 1e-6
    ):
        raise ValueError(
            f'`splits` must be fractions that are positive and together 1, got {dict(fractions)}.'
        )
    selection = import_optional('sklearn.model_selection', 'data')
    kind = selection.ShuffleSplit
    what, available = 'rows', count
    if groups is not None:
        kind = selection.GroupShuffleSplit
        what, available = 'groups', len(np.unique(groups))
    elif strata is not None:
        kind = selection.StratifiedShuffleSplit
        classes, members = np.unique(strata, return_counts=True)
        rare = classes[members < len(shares)]
        if len(rare):
            raise ValueError(
                f'`splits` makes {len(shares)} splits, but {len(rare)} classes have fewer rows, among them '
                f"'{rare[0]}'. Leave these classes out, or give the splits yourself."
            )
    if available < len(shares):
        raise ValueError(f'`splits` makes {len(shares)} splits of {available} {what}: there are too few.')
    sizes = _shares_of(available, shares)
    assigned = np.full(count, '', dtype=f'<U{max(map(len, fractions))}')
    left = np.arange(count)
    for place, name in enumerate(names[:-1]):
        splitter = kind(
            n_splits=1, train_size=sizes[place], test_size=sum(sizes[place + 1 :]), random_state=seed
        )
        try:
            chosen, others = next(
                splitter.split(
                    left[:, None],
                    None if strata is None else strata[left],
                    None if groups is None else groups[left],
                )
            )
        except ValueError as error:
            raise ValueError(f'`splits` {dict(fractions)} of {available} {what}: {error}') from error
        assigned[left[chosen]] = name
        left = left[others]
    assigned[left] = names[-1]
    return assigned


def _shares_of(total: int, fractions: list[float]) -> list[int]:
    """Return whole numbers that are together ``total``, in proportion, none of them zero."""
    sizes = [max(1, int(fraction * total + 1e-9)) for fraction in fractions]
    while sum(sizes) != total:
        step = 1 if sum(sizes) < total else -1
        lacks = [
            (f * total - size) * step if size + step else -np.inf
            for f, size in zip(fractions, sizes, strict=True)
        ]
        sizes[int(np.argmax(lacks))] += step
    return sizes


def check_groups(assigned: np.ndarray, groups: np.ndarray, where: str) -> None:
    """Raise a ValueError if a group is in two splits.

    Args:
        assigned: Split of each row, text ``(N,)``.
        groups: Of each row.
        where: What messages call the groups.
    """
    pairs = np.unique(np.stack([groups.astype(str), assigned.astype(str)], axis=1), axis=0)
    names, counts = np.unique(pairs[:, 0], return_counts=True)
    shared = names[counts > 1]
    if len(shared):
        splits = sorted(pairs[pairs[:, 0] == shared[0], 1].tolist())
        raise ValueError(
            f'{where}: {len(shared)} groups are in more than one split, among them '
            f"'{shared[0]}' in {splits}. What a model learns of a group it would be tested "
            'on. Give splits that keep groups whole.'
        )
