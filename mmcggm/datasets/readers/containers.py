"""Arrays in nested containers, which pickles and files of torch, numpy and MATLAB hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .source import Read, Source

SHOWN = 12  # names in a message
SCALARS = {bool, int, float, str, bytes}


def pick(content: Any, key: str, source: Source, where: str = '') -> Any:
    """Return what is under ``key`` in nested containers.

    Raises:
        ValueError: If there is nothing; it lists what there is.
    """
    if not key:
        if isinstance(content, Mapping) and len(content) == 1:
            return next(iter(content.values()))
        return content
    return pick(_follow(content, key, source, where), '', source)


def _follow(content: Any, key: str, source: Source, where: str = '') -> Any:
    for step, rest in _steps(key):
        found, part = _entry(content, step)
        if found:
            return _follow(part, rest, source, where) if rest else part
    advice = source.advice
    if isinstance(content, (list, tuple)) and len(content) and isinstance(content[0], Mapping):
        advice += f" If each entry is a sample, write '*' before the step: '*/{key}'."
    raise ValueError(
        f"`{source.setting}`: {where or source.path} has no '{key}'; {_described(content)}{advice}"
    )


def _steps(key: str) -> Iterator[tuple[str, str]]:
    """Yield the first step and the rest: a name may hold slashes itself."""
    parts = key.split('/')
    for end in range(len(parts), 0, -1):
        yield '/'.join(parts[:end]), '/'.join(parts[end:])


def _entry(content: Any, step: str) -> tuple[bool, Any]:
    place = int(step) if re.fullmatch(r'-?\d+', step) else None
    if isinstance(content, Mapping):
        for name in (step, place, step.encode()):
            if name is not None and name in content:
                return True, content[name]
        return False, None
    if isinstance(content, np.ndarray) and content.dtype.names:
        return (True, _unwrapped(content[step])) if step in content.dtype.names else (False, None)
    if isinstance(content, np.ndarray) and content.dtype == object:
        content = list(content.ravel())
    if isinstance(content, (list, tuple)) and place is not None and -len(content) <= place < len(content):
        return True, _unwrapped(content[place])
    return False, None


def _unwrapped(value: Any) -> Any:
    """Return what a cell of MATLAB holds."""
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.ravel()[0]
    return value


def each(content: Any, source: Source) -> Read:
    """Return what each entry of a container holds under the rest of the key, and the entries' names."""
    steps = source.key.split('/')
    before, after = '/'.join(steps[: steps.index('*')]), '/'.join(steps[steps.index('*') + 1 :])
    container = _unwrapped(_follow(content, before, source) if before else content)
    if isinstance(container, Mapping):
        entries, names = list(container.values()), np.array([_text(name) for name in container])
    elif isinstance(container, (list, tuple)) or (isinstance(container, np.ndarray) and container.ndim):
        entries, names = list(container), None
    else:
        raise ValueError(
            f"`{source.setting}`: '*' in '{source.key}' must be the entries of a mapping or a list, but "
            f'{source.path} has a {type(container).__name__} there.'
        )
    rows = []
    for place, entry in enumerate(entries):
        called = '/'.join([*steps[: steps.index('*')], str(place if names is None else names[place])])
        value = pick(_unwrapped(entry), after, source, f"{source.path}, '{called}',")
        rows.append(row_of(value, replace(source, key=called)))
    return Read(stacked(rows, source), names, by_name=names is not None)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def as_values(content: Any, source: Source) -> np.ndarray | list:
    """Return what was picked as an array, or a list of arrays that differ in length."""
    if isinstance(content, torch.Tensor):
        content = content.detach().cpu().to_dense()
        return (content.float() if content.dtype == torch.bfloat16 else content).numpy()
    if hasattr(content, 'toarray'):  # a sparse matrix of MATLAB
        return content.toarray()
    content = _unwrapped(content)
    if isinstance(content, np.ndarray) and content.dtype.names is None and content.dtype != object:
        return content
    if isinstance(content, (set, frozenset)):
        content = sorted(content, key=str)
    if _is_table(content):  # as pandas makes of columns of several types
        return stacked([stacked(row, source) for row in content.tolist()], source)
    if isinstance(content, (list, tuple)) or (isinstance(content, np.ndarray) and content.dtype == object):
        rows = list(content.ravel() if isinstance(content, np.ndarray) and content.ndim > 1 else content)
        return stacked([row_of(row, source) for row in rows], source)
    advice = " If each is a sample, end the key with '*'." if isinstance(content, Mapping) else ''
    raise ValueError(
        f'`{source.setting}` must name an array, but {source} is a {type(content).__name__}: '
        f'{_described(content)}{advice}'
    )


def _is_table(content: Any) -> bool:
    """Return whether an array of objects holds a number in each cell, and not what MATLAB calls cells."""
    if not (isinstance(content, np.ndarray) and content.dtype == object and content.ndim == 2):
        return False
    return {type(cell) for cell in content.flat} <= {bool, int, float} or all(
        isinstance(cell, (bool, int, float, np.number, np.bool_)) for cell in content.flat
    )


def row_of(value: Any, source: Source) -> Any:
    """Return one sample, which may be nested itself, as an array; numbers and text stay as they are."""
    is_nested = isinstance(value, (list, tuple, torch.Tensor, np.ndarray, Mapping))
    return as_values(value, source) if is_nested else value


def stacked(rows: Sequence[Any], source: Source) -> np.ndarray | list:
    """Return samples as an array ``(N, ...)``, or as a list of arrays if their shapes differ.

    Raises:
        ValueError: If one is nested deeper, or holds neither numbers nor text.
    """
    if {type(row) for row in rows} <= SCALARS:
        return np.array(rows)  # at once, since lists of numbers are long
    deeper = next((place for place, row in enumerate(rows) if isinstance(row, list)), None)
    if deeper is not None:
        raise ValueError(
            f'`{source.setting}`: {source} holds in entry {deeper} arrays that differ in length themselves: '
            f'{sorted({row.shape for row in rows[deeper]})[:5]}. Samples must be (C,) or (L, C).'
        )
    odd = next((p for p, row in enumerate(rows) if np.asarray(row).dtype.kind not in 'biufUS'), None)
    if odd is not None:
        raise ValueError(
            f'`{source.setting}`: {source} holds a {_type_of(rows[odd])} in entry {odd} of {len(rows)}, '
            'neither numbers nor text. Leave such samples out, in all sources.'
        )
    shapes = {np.shape(row) for row in rows}
    return [np.asarray(row) for row in rows] if len(shapes) > 1 else np.array(rows)


def _type_of(value: Any) -> str:
    return f'{value.dtype} array' if isinstance(value, np.ndarray) else type(value).__name__


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f'it has {some_of([str(name) for name in content])}.'
    if isinstance(content, np.ndarray) and content.dtype.names:
        return f'it has {some_of(list(content.dtype.names))}.'
    if isinstance(content, (list, tuple)):
        return f'it has {len(content)} entries, from 0 to {len(content) - 1}.'
    shape = f' of shape {tuple(content.shape)}' if hasattr(content, 'shape') else ''
    return f'there is a {type(content).__name__}{shape}.'


def some_of(names: list[str]) -> str:
    """Return the first names for a message, and how many more there are."""
    shown = ', '.join(f"'{name}'" for name in names[:SHOWN]) or 'nothing'
    return shown + (f' and {len(names) - SHOWN} more' if len(names) > SHOWN else '')
