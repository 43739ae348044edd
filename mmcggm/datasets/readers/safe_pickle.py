"""Pickles of numpy arrays and plain containers, read without running code."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

ADVICE = (
    'If you trust its source, load it where it was made and save it anew as numpy arrays in dicts and lists; '
    'if you do not, delete it.'
)


class UnsafePickleError(ValueError):
    """A pickle asks for more than numpy arrays and plain containers."""


def load_pickle(path: str | Path) -> Any:
    """Read a pickle (any protocol, of Python 2 or 3, numpy 1 or 2) that holds numpy data and containers only.

    Numbers, strings, bytes, lists, tuples, dicts, sets, numpy arrays (of numbers, strings or such objects)
    and numpy scalars are read. A pickle is a program; this one may call nothing but what makes those.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafePickleError: If the pickle asks for anything else; the message names it. None of it has run.
        ValueError: If the file is no pickle, or not all of one.
    """
    with open(path, 'rb') as file:
        try:
            return _Unpickler(file, encoding='latin1').load()  # latin1: numpy's bytes from Python 2
        except UnsafePickleError as error:
            raise UnsafePickleError(f'{path} {error} {ADVICE}') from None
        except (OSError, MemoryError):
            raise
        except Exception as error:  # a malformed pickle raises whatever its garbage leads to
            raise ValueError(
                f'{path} is not a whole pickle ({type(error).__name__}: {error}). Download it again.'
            ) from error


def _array(subtype: object, shape: object, code: object) -> np.ndarray:
    """Stand for numpy's ``_reconstruct``: an empty array, which its state fills."""
    return np.empty(0, np.int8)


def _dtype(code: object, align: object = False, copy: object = False) -> np.dtype:
    """Return a plain numpy type."""
    dtype = np.dtype(code, False, True) if isinstance(code, str) else None  # a copy: its state is set later
    if dtype is None or dtype.fields is not None or dtype.subdtype is not None:
        raise UnsafePickleError(f'holds a numpy array of the structured type {code!r}, which is not read.')
    return dtype


def _encode(text: str, encoding: str) -> bytes:
    """Stand for ``_codecs.encode``, which protocols 0 to 2 use for bytes."""
    if encoding not in ('latin1', 'latin-1'):
        raise UnsafePickleError(f'encodes text as {encoding!r}, which pickles of data do not.')
    return text.encode('latin1')


_NUMPY = {
    'multiarray': {'_reconstruct': _array, 'scalar': np.float64(0).__reduce__()[0]},
    'numeric': {'_frombuffer': np.empty(0).__reduce_ex__(5)[0]},
}
ALLOWED: dict[tuple[str, str], Any] = {
    ('numpy', 'ndarray'): None,  # only an argument of `_reconstruct`
    ('numpy', 'dtype'): _dtype,
    ('_codecs', 'encode'): _encode,
    ('collections', 'OrderedDict'): OrderedDict,
    **{
        (f'numpy.{core}.{module}', name): function
        for core in ('core', '_core')  # numpy 1 and 2
        for module, functions in _NUMPY.items()
        for name, function in functions.items()
    },
    **{
        (module, kind.__name__): kind
        for module in ('builtins', '__builtin__')  # Python 3 and 2
        for kind in (set, frozenset, bytearray, bytes, complex)
    },
}


class _Unpickler(pickle._Unpickler):
    """The unpickler in Python, since the one in C does not let the setting of state be checked."""

    dispatch = pickle._Unpickler.dispatch.copy()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise UnsafePickleError(
                f"asks for '{module}.{name}', and may run code with it, so it is not read: only numpy arrays "
                'and plain containers are.'
            )
        return ALLOWED[module, name]

    def get_extension(self, code: int) -> None:
        raise UnsafePickleError(f'asks for the extension {code} of the copyreg registry.')

    def load_build(self) -> None:
        # Unchecked, a state could give an array of objects the raw bytes of pointers.
        state, target = self.stack[-1], self.stack[-2]
        if isinstance(target, np.dtype):
            order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
            if order not in ('<', '>', '|') or state != target.newbyteorder(order).__reduce__()[2]:
                raise UnsafePickleError(f'gives the numpy type {target} the state {state!r}, not its own.')
        elif type(target) is not np.ndarray:
            raise UnsafePickleError(f'sets the state of a {type(target).__name__}, as data does not.')
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build
