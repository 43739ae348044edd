"""Sources that are read together: which of their rows belong to one sample."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmcggm.datasets.readers.mapped import MappedArray
from mmcggm.datasets.readers.source import Read, Source
from mmcggm.datasets.readers.sources import read_source

Values = np.ndarray | MappedArray | list
Sources = dict[str, tuple[Source, Read]]


def read_setting(value: str | Mapping[str, Any], setting: str, root: str | Path, split: str | None) -> tuple:
    """Return the source that a setting names, and what it holds.

    Of columns, which is all but ``inputs``, ``channels`` are taken here.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it can't be read, or holds a single number.
    """
    source = Source.of(value, root, split, setting)
    read = read_source(source)
    values = read.values
    if not isinstance(values, list) and values.ndim == 0:
        raise ValueError(f'`{setting}` must name an array, but {source} is a single value.')
    if setting.startswith('inputs'):
        return source, read
    if source.channels != slice(None):
        if isinstance(values, list) or values.ndim < 2:
            raise ValueError(f'`{setting}.channels` is of arrays (N, C), but {source} has a single axis.')
        values = np.asarray(values)[..., source.channels]
    if (
        source.path.suffix == '.mat'
        and not isinstance(values, list)
        and values.ndim == 2
        and len(values) == 1
    ):
        values = values[0]  # MATLAB knows no vectors, and others write them as one row
    return source, Read(values, read.names, read.by_name, read.columns)


def as_column(values: Values, setting: str, what: str) -> np.ndarray:
    """Return one value a row, ``(N,)``, of what may also be ``(N, 1)``.

    Raises:
        ValueError: If there are more, or one is missing.
    """
    column = np.asarray(values) if not isinstance(values, list) else np.empty((0, 0))
    while column.ndim > 1 and column.shape[-1] == 1:
        column = column[..., 0]
    if column.ndim != 1:
        shape = 'entries of different lengths' if isinstance(values, list) else f'shape {values.shape}'
        raise ValueError(f'`{setting}` must have one value for each {what}, (N,), but has {shape}.')
    missing = np.flatnonzero(np.isnan(column)) if column.dtype.kind == 'f' else []
    if len(missing):
        raise ValueError(f'`{setting}` is missing in {len(missing)} rows, among them {missing[:5].tolist()}.')
    return column


def aligned(read: Sources) -> tuple[dict[str, Values], np.ndarray | None]:
    """Bring the rows of all sources into the order of the labels, by their names.

    Sources may have rows that the labels lack, such as features of samples that nobody has labelled. Where
    one has no names, all must be in one order. Names that pandas counts are places: tables that were written
    after different selections have them too, so that they must be the same everywhere.

    Args:
        read: By setting. Where there is no ``'labels'``, the first with names tells the order.

    Returns:
        Values by setting, and the rows' names, None if no source has any.

    Raises:
        ValueError: If rows can't be told apart by their names, or a source lacks some.
    """
    _refuse_shown_answers(read)
    named = [setting for setting, (_, found) in read.items() if found.names is not None]
    values = {setting: found.values for setting, (_, found) in read.items()}
    first = 'labels' if 'labels' in named or not named else named[0]
    _refuse_other_splits(read)
    if not named:
        return values, None
    names = read[first][1].names
    nameless = [setting for setting in read if setting not in named]
    for setting in named:
        values[setting] = _in_order(setting, first, read)
    ordered = [read[setting][1].names for setting in named if not read[setting][1].by_name]
    if nameless and (len(ordered) < len(named) or not all(np.array_equal(one, names) for one in ordered)):
        raise ValueError(
            f'The rows of {[f"`{setting}`" for setting in named]} have names, by which alone they can be '
            f'matched, but `{nameless[0]}` ({read[nameless[0]][0]}) has none. Say where they are: '
            "dict(file='…', key='…', names='…') with a column or key of the same file."
        )
    return values, names


def _in_order(setting: str, first: str, read: Sources) -> Values:
    (of, of_first), (source, found) = read[first], read[setting]
    values, own, names = found.values, found.names, of_first.names
    if own is None or names is None or len(own) != len(values):
        raise ValueError(f'`{setting}`: {source} has not as many names as it has rows, {len(values)}.')
    if np.array_equal(own, names):
        return values
    counts = _are_places(source, found) or _are_places(of, of_first)
    if counts and len(own) != len(names):
        return values  # refused where rows are counted
    counts = counts and not (found.by_name or of_first.by_name)
    places = {name: place for place, name in enumerate(own.tolist())}
    twice = next((found for found in (own, names) if len(set(found.tolist())) < len(found)), None)
    if counts or twice is not None:
        row = int(np.flatnonzero(own[: len(names)] != names[: len(own)])[0]) if len(own) and len(names) else 0
        why = 'name a row twice' if twice is not None else 'have names that only count'
        raise ValueError(
            f"`{of.setting}` and `{setting}` name row {row} '{names[row]}' and '{own[row]}', and {why}: "
            f'{of.path} and {source.path} must have the same rows in the same order.'
        )
    missing = [name for name in names.tolist() if name not in places]
    if missing:
        raise ValueError(
            f'`{setting}` ({source}) lacks {len(missing)} of the {len(names)} rows that `{of.setting}` '
            f'({of}) names, among them {missing[:3]}; it has {own[:3].tolist()}. Leave them out, or add them.'
        )
    rows = np.array([places[name] for name in names.tolist()], np.int64)
    left = len(own) - len(rows)
    print_log(
        f'`{setting}`: rows are matched with `{of.setting}` by their names'
        + (f'; {left} of {len(own)} that it does not name are left out.' if left else '.'),
        'current',
    )
    return [values[row] for row in rows] if isinstance(values, list) else np.asarray(values)[rows]


def _are_places(source: Source, found: Read) -> bool:
    """Whether names only count from 0 or 1, and nobody said that they are names."""
    names = found.names
    if names is None or found.by_name or source.names:
        return False
    return only_count(names)


def only_count(names: np.ndarray) -> bool:
    """Return whether names only count rows, from 0 or 1, and so say nothing."""
    return any(np.array_equal(names, (np.arange(len(names)) + start).astype(str)) for start in (0, 1))


def _refuse_shown_answers(read: Sources) -> None:
    """Raise a ValueError if the features hold a column that is the labels, the splits or the like."""
    for setting, (source, found) in read.items():
        for other, (of_other, column) in read.items():
            shared = set(found.columns) & set(column.columns)
            if (
                setting.startswith('inputs')
                and not other.startswith('inputs')
                and source.path == of_other.path
                and shared
            ):
                raise ValueError(
                    f"`{setting}` ({source}) takes the column '{min(shared)}' too, which is `{other}`: a "
                    'model would be shown what it shall predict, or what it must not know. Name the columns '
                    f"of `{setting}` after a colon: names, a pattern such as 'mfcc_*', or a range such as "
                    "'0:100'."
                )


def _refuse_other_splits(read: Sources) -> None:
    """Raise a ValueError if some sources are of one split, and others may be of another."""
    own = [setting for setting, (source, _) in read.items() if source.split is not None]
    for setting, (source, found) in read.items():
        if not own or setting in own:
            continue
        matched = [(source, found), *(read[other] for other in own)]
        if all(one[1].names is not None and not _are_places(*one) for one in matched):
            continue  # whose names tell which rows they are
        raise ValueError(
            f'`{setting}` ({source}) is the same for all splits, but `{own[0]}` ({read[own[0]][0]}) has '
            '{split}: its rows could be those of another split. Write {split} in both, or in none, and '
            "`splits`; or name the rows of both, by dict(file='…', names='…')."
        )


def check_counts(counts: Mapping[str, int], read: Sources) -> None:
    """Raise a ValueError unless all sources have as many rows."""
    if len(set(counts.values())) <= 1:
        return
    hints = []
    for setting, (source, found) in read.items():
        own, shape = counts.get(setting, -1), getattr(found.values, 'shape', ())
        others = set(counts.values()) - {own}
        if found.columns and {own - 1, own + 1} & others:
            hints.append(
                f"If the first row of {source.path} was taken for data or for a header and isn't, say so: "
                f"dict(file='{source.path.name}', header=True) or header=False."
            )
        elif len(shape) == 2 and own == shape[0] and shape[1] in others:
            hints.append(f'`{setting}` may have a column for each sample: then transpose {source.path}.')
    raise ValueError(' '.join([f'The sources must have as many rows each, but have {dict(counts)}.', *hints]))


def warn_of_padding(real: np.ndarray, modality: str) -> None:
    """Log a warning if sequences look padded, though nobody said so.

    Args:
        real: Which rows of some sequences are not zero, bool ``(N, L)``.
        modality: Theirs.
    """
    ends = int((~real[:, 0] | ~real[:, -1]).sum())
    if ends:
        print_log(
            f'`inputs.{modality}`: {ends} of {len(real)} sequences begin or end with rows of zeros, which '
            f"count as tokens. If they are padding, set padding=['{modality}'] or `lengths`.",
            'current',
            logging.WARNING,
        )
