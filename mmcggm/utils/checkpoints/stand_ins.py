"""What a checkpoint of MMEngine asks for beyond what PyTorch reads: numpy's data, and MMEngine's states.

A pickle is a program: it calls what it names. Each name here gets a stand-in, which takes what it is given
as data and runs nothing; :func:`plain` then puts what was meant in its place. In MMEngine's own list stands
``getattr``, by which a pickle reaches anything; here it knows the few attributes that MMEngine writes.
"""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


class NotDataError(ValueError):
    """A checkpoint asks for more than data; the message says for what."""


class _StandIn:
    """What a checkpoint's pickle makes in place of an object."""

    def value(self) -> Any:
        """Return the object that is meant."""
        raise NotImplementedError


class _Type(_StandIn):
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        self.dtype = np.dtype(code if isinstance(code, str) else object)
        if self.dtype.kind not in 'biufcSU':
            raise NotDataError(f'numpy data of the type {code!r}')

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])  # all else follows from the code

    def value(self) -> np.dtype:
        return self.dtype


class _Array(_StandIn):
    """Stands for ``numpy.ndarray`` and for the function by which pickles make one."""

    def __init__(self, *_: Any) -> None:
        self.array = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, is_fortran, raw = state
        self.array = _from_bytes(kind, shape, raw, 'F' if is_fortran else 'C')

    def value(self) -> np.ndarray:
        return self.array


class _History(_StandIn):
    """Stands for ``HistoryBuffer``, whose own state would add functions to the class."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def value(self) -> HistoryBuffer:
        log, counts = plain(self.state['_log_history']), plain(self.state['_count_history'])
        return HistoryBuffer(log, counts, self.state['max_length'])


class _Namespace(_StandIn):
    """Stands for ``argparse.Namespace``: published weights often come with their trainings' arguments."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def value(self) -> Namespace:
        return Namespace(**plain(self.state))


class _OneCycle:
    """Stands for the schedule whose state names one of its functions."""


def _scalar(kind: _Type, raw: bytes) -> np.generic:
    return _from_bytes(kind, (), raw, 'C')[()]


def _from_bytes(kind: _Type, shape: tuple[int, ...], raw: bytes, order: str) -> np.ndarray:
    size = prod(shape) * kind.dtype.itemsize
    if len(raw) != size:
        raise ValueError(f'a numpy array of shape {shape} has {len(raw)} bytes, not {size}')
    return np.ndarray(shape, kind.dtype, raw, order=order).copy(order='K')


def _empty() -> bytes:
    """Stand for ``bytes``, which pickles call for no bytes at all."""
    return b''


def _config(values: dict[str, Any]) -> dict[str, Any]:
    """Stand for MMEngine's ``ConfigDict``."""
    return values


def _attribute(owner: Any, name: str) -> Any:
    """Stand for ``getattr``."""
    if owner is _History and name in ('min', 'max', 'mean', 'current'):
        return None  # a statistic, which each has anyway
    if owner is _OneCycle and name in ('_annealing_cos', '_annealing_linear'):
        # Here, since MMEngine's optimizers take longer to import than torch.
        from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

        return getattr(OneCycleParamScheduler, name)
    raise NotDataError(f"'getattr' for {name!r}")


STAND_INS: dict[str, Any] = {
    'builtins.getattr': _attribute,
    'builtins.bytes': _empty,
    'argparse.Namespace': _Namespace,
    'mmengine.config.config.ConfigDict': _config,
    'mmengine.logging.history_buffer.HistoryBuffer': _History,
    'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler': _OneCycle,
    'numpy.dtype': _Type,
    'numpy.ndarray': _Array,
    'numpy.core.multiarray._reconstruct': _Array,  # of numpy 1
    'numpy.core.multiarray.scalar': _scalar,
    'numpy._core.multiarray._reconstruct': _Array,
    'numpy._core.multiarray.scalar': _scalar,
}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Let PyTorch's reader of weights use the stand-ins; what a program has allowed beside stays allowed."""
    before = torch.serialization.get_safe_globals()
    own = [entry for entry in before if _name(entry) not in STAND_INS]
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([*own, *((stand_in, name) for name, stand_in in STAND_INS.items())])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _name(entry: Any) -> str:
    return entry[1] if isinstance(entry, tuple) else f'{entry.__module__}.{entry.__qualname__}'


def plain(value: Any) -> Any:
    """Return ``value`` with what the stand-ins stand for in their place, in new containers."""
    if isinstance(value, _StandIn):
        return value.value()
    if isinstance(value, dict):
        entries = ((plain(key), plain(entry)) for key, entry in dict.items(value))
        if not isinstance(value, OrderedDict):
            return dict(entries)
        ordered = OrderedDict(entries)
        if isinstance(versions := vars(value).get('_metadata'), dict):  # of the modules in a state_dict
            ordered._metadata = versions  # type: ignore[attr-defined]
        return ordered
    if type(value) in (list, tuple, set):
        return type(value)(plain(entry) for entry in value)
    return value
