"""The state of a balancing method, declared once.

A method's class says what it sums up over an update and what it remembers from update to update. From that
follow the sums over micro-batches and processes, what a checkpoint holds, and what an update that overflows
leaves behind: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, overload

import torch
from torch import Tensor

from .training import Training


class Owner(Protocol):
    """What holds state: a balancer."""

    memory: dict[str, Any]
    sums: dict[str, Accumulated]

    @property
    def training(self) -> Training: ...


class Memory:
    """What a method remembers from update to update.

    It is an attribute of the method, in its checkpoints, and on the training's device. It is set in
    ``end_update``, ``change_gradients``, ``end_epoch`` or ``see_validation``, to another value: a tensor is
    never changed in place, since an update that overflows leaves the one that was. Numbers that the host
    counts stay counted.

    Args:
        start: The value before the first update, or a function of the number ``M`` of modalities that
            returns it. Where None becomes a tensor in an update that overflows, it is zero.

    Example:
        >>> class Method(Balancer):
        >>>     means = Memory(torch.zeros)
    """

    def __init__(self, start: Any = None) -> None:
        self.start = start

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Owner | None, kind: type | None = None) -> Any:
        if owner is None:
            return self
        if self.name not in owner.memory:
            owner.memory[self.name] = self.first(owner)
        return owner.memory[self.name]

    def __set__(self, owner: Owner, value: Any) -> None:
        owner.memory[self.name] = value

    def first(self, owner: Owner) -> Any:
        """Return the value before the first update."""
        if not callable(self.start):
            return self.start
        return map_values(lambda x: x.to(owner.training.device), self.start(len(owner.training.modalities)))


class Accumulated:
    """What has been added up since the last update, over its micro-batches and over all processes."""

    def __init__(self, training: Callable[[], Training], mean: bool) -> None:
        self._training = training
        self._mean = mean
        self._own: Any = None
        self._total: Any = None
        self._passes = 0

    def add(self, value: Any) -> None:
        """Add what a pass showed: a tensor, or lists of tensors; it is detached."""
        value = map_values(Tensor.detach, value)
        self._own = value if self._own is None else map_values(torch.add, self._own, value)
        self._passes += 1
        self._total = None

    @property
    def total(self) -> Any:
        """The sum so far, or the mean over passes and processes; None if nothing was added.

        All processes must ask for it at the same place, since they exchange their sums then.
        """
        if self._total is None and self._own is not None:
            training = self._training()
            self._total = map_values(
                lambda x: training.over_processes(x / self._passes if self._mean else x, self._mean),
                self._own,
            )
        return self._total

    def clear(self) -> None:
        """Begin anew."""
        self._own = self._total = None
        self._passes = 0

    def state(self) -> tuple[Any, int]:
        """Return what this process has added up, and from how many passes."""
        return self._own, self._passes

    def go_on_from(self, state: tuple[Any, int]) -> None:
        """Go on from what :meth:`state` returned."""
        device = self._training().device
        self._own = map_values(lambda x: x.to(device), state[0])
        self._passes = state[1]
        self._total = None


class UpdateSum:
    """What a method sums up over the micro-batches of an update and over all processes.

    It is an attribute of the method: ``add`` takes what a pass showed, ``total`` is the sum so far. It begins
    anew with each update.

    Example:
        >>> class Method(Balancer):
        >>>     hits = UpdateSum()
    """

    mean = False

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, owner: None, kind: type | None = None) -> UpdateSum: ...
    @overload
    def __get__(self, owner: Owner, kind: type | None = None) -> Accumulated: ...
    def __get__(self, owner: Owner | None, kind: type | None = None) -> UpdateSum | Accumulated:
        if owner is None:
            return self
        if self.name not in owner.sums:
            owner.sums[self.name] = Accumulated(lambda: owner.training, self.mean)
        return owner.sums[self.name]


class UpdateMean(UpdateSum):
    """The same, averaged over passes and processes, as the framework averages gradients."""

    mean = True


def map_values(function: Callable[..., Tensor], value: Any, *others: Any) -> Any:
    """Return ``function`` of the tensors in nested lists and dicts; anything else stays as it is."""
    if isinstance(value, Tensor):
        return function(value, *others)
    if isinstance(value, (list, tuple)):
        return [map_values(function, *parts) for parts in zip(value, *others, strict=True)]
    if isinstance(value, dict):
        return {name: map_values(function, part, *(o[name] for o in others)) for name, part in value.items()}
    return value


def difference(own: Any, found: Any, name: str) -> str | None:
    """Return, for messages, the first entry of nested lists and dicts that differs in kind, or None.

    Kinds are equal if tensors have one shape, lists one length, and all else one type; any number is like any
    other. What is None on either side may become anything, and an empty list may grow.

    Args:
        own: What is there.
        found: What is to take its place. Of a dict it may have some of the names.
        name: Of the whole.
    """
    if own is None or found is None:
        return None
    if isinstance(own, Tensor):
        return None if isinstance(found, Tensor) and found.shape == own.shape else f'`{name}`'
    if isinstance(own, (list, tuple)):
        if not isinstance(found, (list, tuple)) or (own and len(found) != len(own)):
            return f'`{name}`'
        parts = ((a, b, f'{name}.{i}') for i, (a, b) in enumerate(zip(own, found, strict=False)))
    elif isinstance(own, dict):
        if not isinstance(found, dict):
            return f'`{name}`'
        parts = ((own.get(key), part, f'{name}.{key}') for key, part in found.items())
    elif isinstance(own, (int, float)):
        return None if isinstance(found, (int, float)) else f'`{name}`'
    else:
        return None if isinstance(found, type(own)) else f'`{name}`'
    return next((wrong for part in parts if (wrong := difference(*part))), None)


def undone(new: Any, old: Any, overflow: Tensor) -> Any:
    """Return ``new``, or ``old`` where the scalar ``overflow`` is above zero; nothing is read on the host.

    Where there was no tensor before, it is zero.
    """
    if isinstance(new, Tensor):
        before = old.to(new) if isinstance(old, Tensor) else torch.zeros_like(new)
        return torch.where(overflow > 0, before, new)
    if isinstance(new, (list, tuple)):
        olds = old if isinstance(old, (list, tuple)) and len(old) == len(new) else [None] * len(new)
        return [undone(a, b, overflow) for a, b in zip(new, olds, strict=True)]
    if isinstance(new, dict):
        olds_by_name = old if isinstance(old, dict) else {}
        return {name: undone(part, olds_by_name.get(name), overflow) for name, part in new.items()}
    return new
