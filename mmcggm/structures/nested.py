"""Nested values: what models return and take, tensors in containers of any kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return ``value`` with ``function`` applied to its tensors, in containers of the same types."""
    if isinstance(value, Tensor):
        return function(value)
    return _rebuilt(value, {name: map_tensors(function, part) for name, part in contents(value).items()})


def map_part(function: Callable[[Tensor], Tensor], value: Any, key: Sequence[int | str]) -> Any:
    """Return ``value`` with ``function`` applied to the tensors of the part that ``key`` names.

    A step into a tensor is an index of its first axis.
    """
    if not key:
        return map_tensors(function, value)
    if isinstance(value, Tensor):
        index = int(key[0])
        return torch.select_scatter(value, map_part(function, value[index], key[1:]), 0, index)
    held = contents(value)
    name = key[0] if key[0] in held else list(held)[key[0]]
    return _rebuilt(value, {**held, name: map_part(function, held[name], key[1:])})


def float_tensors(value: Any) -> list[Tensor]:
    """Return the floating point tensors in ``value``, in order."""
    found: list[Tensor] = []

    def look(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point():
            found.append(tensor)
        return tensor

    map_tensors(look, value)
    return found


def describe(value: Any) -> str:
    """Return what ``value`` is in a line: tensors by shape, containers by what they hold."""
    kind = type(value).__name__
    if isinstance(value, Tensor):
        return f'{kind}{tuple(value.shape)}'
    parts = contents(value)
    return f'{kind}({", ".join(f"{k!r}: {describe(v)}" for k, v in parts.items())})' if parts else kind


def check_pyramid(value: Any, batch_axis: int = 0) -> None:
    """Raise a ValueError if ``value`` holds several tensors that can't be levels of one pyramid.

    Levels have equally many axes, and equally many samples, on ``batch_axis``. The outputs and states of a
    GRU mostly don't.
    """
    levels = value if isinstance(value, (list, tuple)) else ()
    if len(levels) < 2 or not all(isinstance(level, Tensor) and level.ndim > batch_axis for level in levels):
        return
    if len({(level.ndim, level.shape[batch_axis]) for level in levels}) > 1:
        raise ValueError(
            f'the representation is {describe(value)}, whose tensors differ in axes or samples, so they are '
            "no levels of a pyramid: pick one with the encoder's `key`, such as `key=0` for a GRU's outputs, "
            'if the model reads these.'
        )


def contents(value: Any) -> dict[Any, Any]:
    """Return what a container holds, by name or index."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return value._asdict() if hasattr(value, '_asdict') else dict(enumerate(value))
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {}


def entries(value: Any) -> dict[Any, Any]:
    """Return what a step of a key can name in a container."""
    named = contents(value)
    # A ModelOutput is a mapping and a dataclass, and may be indexed like a tuple.
    if isinstance(value, (list, tuple)) or (isinstance(value, Mapping) and is_dataclass(value)):
        parts = list(named.values())
        return {**{i: parts[i] for i in range(-len(parts), len(parts))}, **named}
    return named


def _rebuilt(value: Any, parts: dict[Any, Any]) -> Any:
    """Return a container like ``value`` that holds ``parts``."""
    if isinstance(value, Mapping):  # also transformers' ModelOutput
        result = copy(value)
        for name, part in parts.items():
            result[name] = part
        return result
    if isinstance(value, (list, tuple)):
        return type(value)(**parts) if hasattr(value, '_fields') else type(value)(parts.values())
    if parts:
        result = copy(value)
        for name, part in parts.items():
            object.__setattr__(result, name, part)  # frozen dataclasses too
        return result
    return value
