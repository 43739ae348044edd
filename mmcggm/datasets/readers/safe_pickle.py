"""Pickles of numpy arrays and plain containers, read without running code."""

from __future__ import annotations

import math
import os
import pickle
import re
import reprlib
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mmcggm.utils.file_kind import kind_of, no_content

from .pickled_tensors import PickledTensorError, load_from_bytes, rebuild_tensor

ADVICE = (
    'If you trust its source, load it where it was made and save it anew as numpy arrays in dicts and lists; '
    'if you do not, delete it.'
)
DTYPE = re.compile(r'[<>|=]?(?:[biufc?]\d{0,2}|[SUO]\d{0,9})')
BLANK = np.dtype(np.int8)  # of an array whose state is still to come
SCALARS = (str, bytes, int, float, complex, type(None), np.generic)
CONTAINERS = (list, tuple, set, frozenset, dict)  # OrderedDict is a dict
DEPTH = 32  # of containers in one another; published data have five
GROWTH = 100  # objects a byte that a value may unfold into, where parts of it are used several times
LARGE = 1 << 20  # bytes from which on a promised length is compared with the file's


class UnsafePickleError(ValueError):
    """A pickle asks for more than numpy arrays and plain containers."""


def load_pickle(path: str | Path, start: int = 0) -> Any:
    """Read a pickle (any protocol, of Python 2 or 3, numpy 1 or 2) that holds numpy data and containers only.

    Numbers, strings, bytes, lists, tuples, dicts, sets, numpy arrays (of numbers, strings or such objects)
    and numpy scalars are read, and PyTorch's tensors, as arrays. A pickle is a program; this one may call
    nothing but what makes those, and what it says of an array's type and shape is compared with the bytes
    that there are. Memory and time are bounded by the size of the file.

    Args:
        path: The file.
        start: Where in it the pickle begins, in bytes.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafePickleError: If the pickle asks for anything else; the message names it. None of it has run.
        ValueError: If the file is no pickle, or not all of one.
    """
    if start == 0 and (what := no_content(path)) is not None:
        raise ValueError(f'{path} {what}')
    if start == 0 and (kind := kind_of(path)) is not None:
        raise ValueError(
            f'{path} is {kind}, and no pickle. Call it by the ending of what it is; unpack it, if it is '
            'compressed.'
        )
    with open(path, 'rb') as file:
        file.seek(start)
        return load_pickled(file, os.fstat(file.fileno()).st_size, path)


def load_pickled(file: BinaryIO, size: int, path: str | Path) -> Any:
    """Read a pickle from an open file of ``size`` bytes, as :func:`load_pickle` does; ``path`` names it."""
    try:
        # latin1: numpy's bytes from Python 2
        value = _Unpickler(_Bounded(file, size), encoding='latin1').load()
        _unfolded([value], {}, limit=GROWTH * size)
        return value
    except (UnsafePickleError, PickledTensorError) as error:
        raise UnsafePickleError(f'{path} {error} {ADVICE}') from None
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a malformed pickle raises whatever its garbage leads to
        raise ValueError(
            f'{path} is not a whole pickle ({type(error).__name__}: {error}). Download it again.'
        ) from error


class _Bounded:
    """A file that isn't asked for more bytes than it has: Python would first find memory for them."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.readline = file.readline

    def read(self, count: int) -> bytes:
        self.check(count)
        return self._file.read(count)

    def readinto(self, buffer: bytearray) -> int:
        return self._file.readinto(buffer)

    def check(self, count: int) -> None:
        if count > LARGE and count > self._size - self._file.tell():
            raise EOFError(f'{count} bytes are promised, the file has {self._size}')


def _plain_dtype(dtype: object) -> np.dtype:
    if not isinstance(dtype, np.dtype) or dtype.kind not in 'biufcSUO':
        raise UnsafePickleError(f'holds numpy data of the type {reprlib.repr(dtype)}, which is not read.')
    return dtype


def _plain_shape(shape: object, elements: int) -> tuple[int, ...]:
    if (
        not isinstance(shape, tuple)
        or any(type(side) is not int or side < 0 for side in shape)
        or math.prod(shape) != elements
        or max(shape, default=0) > max(elements, LARGE)  # beside a side of 0 another may be anything
    ):
        raise UnsafePickleError(
            f'gives {elements} elements to an array of shape {reprlib.repr(shape)}, which they do not fill.'
        )
    return shape


def _raw_elements(dtype: np.dtype, raw: bytes | bytearray) -> np.ndarray:
    """Return the elements ``(N,)`` that bytes hold; a view of them."""
    if dtype.hasobject or dtype.itemsize == 0 or len(raw) % dtype.itemsize:
        raise UnsafePickleError(f'gives {len(raw)} bytes to a numpy array of type {dtype}.')
    elements = np.frombuffer(raw, dtype)
    if dtype.kind == 'U' and elements.size:
        points = np.frombuffer(raw, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if points.max() > 0x10FFFF:
            raise UnsafePickleError(f'holds text of {dtype} that is no Unicode.')
    return elements


def _reconstruct(subtype: object, shape: object, code: object) -> np.ndarray:
    """Stand for numpy's function: an empty array, which its state fills."""
    return np.empty(0, BLANK)


def _frombuffer(raw: object, dtype: object, shape: object, order: object, axes: object = None) -> np.ndarray:
    """Stand for numpy's function, which protocol 5 calls."""
    if not isinstance(raw, (bytes, bytearray)) or order not in ('C', 'F', 'K'):
        raise UnsafePickleError(f'makes an array of {reprlib.repr(raw)} in the order {reprlib.repr(order)}.')
    elements = _raw_elements(_plain_dtype(dtype), raw)
    array = elements.reshape(_plain_shape(shape, elements.size), order='F' if order == 'F' else 'C')
    if axes is None:
        return array
    if not isinstance(axes, tuple) or sorted(axes) != list(range(array.ndim)):
        raise UnsafePickleError(f'orders the axes of an array as {reprlib.repr(axes)}.')
    return array.transpose(axes)


def _scalar(dtype: object, raw: object = b'') -> np.generic:
    """Stand for numpy's function."""
    dtype = _plain_dtype(dtype)
    raw = _bytes(raw, 'latin1') if isinstance(raw, str) else raw
    if not isinstance(raw, bytes) or len(raw) != dtype.itemsize:
        raise UnsafePickleError(f'makes a {dtype} of {reprlib.repr(raw)}.')
    return _raw_elements(dtype, raw)[0] if raw else dtype.type()


def _dtype(code: object, align: object = False, copy: object = False) -> np.dtype:
    """Return a plain numpy type."""
    if not isinstance(code, str) or not DTYPE.fullmatch(code):
        raise UnsafePickleError(f'holds numpy data of the type {reprlib.repr(code)}, which is not read.')
    return np.dtype(code, False, True)  # a copy: its state is set later


def _bytes(text: object = b'', encoding: object = 'latin1') -> bytes:
    """Stand for ``_codecs.encode`` and ``bytes``, which protocols 0 to 2 use for bytes."""
    if encoding not in ('latin1', 'latin-1'):
        raise UnsafePickleError(f'encodes text as {reprlib.repr(encoding)}, which pickles of data do not.')
    if not isinstance(text, (str, bytes)):
        raise UnsafePickleError(f'makes bytes of {reprlib.repr(text)}, which is no text.')
    return text.encode('latin1') if isinstance(text, str) else text


def _bytearray(*arguments: object) -> bytearray:
    return bytearray(_bytes(*arguments))


def _complex(real: object, imaginary: object) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise UnsafePickleError('makes a complex number of something else than two numbers.')
    return complex(real, imaginary)


def _set(items: object = ()) -> set:
    return set(_hashable(items))


def _frozenset(items: object = ()) -> frozenset:
    return frozenset(_hashable(items))


def _ordered_dict(pairs: object = ()) -> OrderedDict:
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs
    ):
        raise UnsafePickleError('makes an OrderedDict of something else than pairs.')
    keys = _hashable([key for key, _ in pairs])
    return OrderedDict(zip(keys, (value for _, value in pairs), strict=True))


def _hashable(items: object) -> list | tuple:
    """Return a list or tuple whose items may be keys: hashing what is nested can take forever or crash."""
    if not isinstance(items, (list, tuple)):
        raise UnsafePickleError(f'makes a set of a {type(items).__name__}.')
    for item in items:
        parts = item if isinstance(item, (tuple, frozenset)) else (item,)
        if not all(isinstance(part, SCALARS) for part in parts):
            raise UnsafePickleError(f'uses a {type(item).__name__} as a key, which may be text or a number.')
    return items


_NUMPY = {
    'multiarray': {'_reconstruct': _reconstruct, 'scalar': _scalar},
    'numeric': {'_frombuffer': _frombuffer},
}
# All of them functions of ours, which check what they are given.
ALLOWED: dict[tuple[str, str], Any] = {
    ('numpy', 'ndarray'): None,  # only an argument of `_reconstruct`
    ('numpy', 'dtype'): _dtype,
    ('_codecs', 'encode'): _bytes,
    ('collections', 'OrderedDict'): _ordered_dict,
    ('torch.storage', '_load_from_bytes'): load_from_bytes,
    ('torch._utils', '_rebuild_tensor_v2'): rebuild_tensor,
    **{
        (f'numpy.{core}.{module}', name): function
        for core in ('core', '_core')  # numpy 1 and 2
        for module, functions in _NUMPY.items()
        for name, function in functions.items()
    },
    **{
        (module, name): function
        for module in ('builtins', '__builtin__')  # Python 3 and 2
        for name, function in dict(
            set=_set, frozenset=_frozenset, bytearray=_bytearray, bytes=_bytes, complex=_complex
        ).items()
    },
}


class _Unpickler(pickle._Unpickler):
    """The unpickler in Python, since the one in C does not let what is made be checked."""

    dispatch = pickle._Unpickler.dispatch.copy()

    def __init__(self, file: _Bounded, **kwargs: Any) -> None:
        super().__init__(file, **kwargs)
        self._bounded = file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise UnsafePickleError(
                f"asks for '{module[:50]}.{name[:50]}', and may run code with it, so it is not read: only "
                'numpy arrays and plain containers are.'
            )
        return ALLOWED[module, name]

    def get_extension(self, code: int) -> None:
        raise UnsafePickleError(f'asks for the extension {code} of the copyreg registry.')

    def load_build(self) -> None:
        """Set the state of an array or a numpy type, once it is known to be one."""
        state, target = self.stack[-1], self.stack[-2]
        if isinstance(target, np.dtype):
            order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
            if order not in ('<', '>', '|') or state != target.newbyteorder(order).__reduce__()[2]:
                raise UnsafePickleError(
                    f'gives the numpy type {target} the state {reprlib.repr(state)}, not its own.'
                )
        elif type(target) is np.ndarray and target.dtype is BLANK and target.shape == (0,):
            self.stack[-1] = _array_state(state)
        else:
            raise UnsafePickleError(f'sets the state of a {type(target).__name__}, as data does not.')
        super().load_build()

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack('<Q', self.read(8))
        self._bounded.check(length)
        array = bytearray(length)
        self.readinto(array)
        self.append(array)

    def load_append(self) -> None:
        self._expect(-2, list)
        super().load_append()

    def load_appends(self) -> None:
        items = self.pop_mark()
        self._expect(-1, list)
        self.stack[-1].extend(items)

    def load_setitem(self) -> None:
        self._expect(-3, dict)
        _hashable([self.stack[-2]])
        super().load_setitem()

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self._expect(-1, dict)
        self.stack[-1].update(zip(_hashable(items[::2]), items[1::2], strict=True))

    def load_additems(self) -> None:
        items = self.pop_mark()
        self._expect(-1, set)
        self.stack[-1].update(_hashable(items))

    def load_frozenset(self) -> None:
        items = self.pop_mark()  # which changes `append`
        self.append(_frozenset(items))

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append(dict(zip(_hashable(items[::2]), items[1::2], strict=True)))

    def refuse(self) -> None:
        raise UnsafePickleError('uses instructions that make objects or share memory, as data does not.')

    def _expect(self, place: int, kind: type) -> None:
        if not isinstance(self.stack[place], kind):
            raise UnsafePickleError(
                f'fills a {type(self.stack[place]).__name__} as if it were a {kind.__name__}.'
            )

    dispatch |= {
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.ADDITEMS[0]: load_additems,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.DICT[0]: load_dict,
        **dict.fromkeys((pickle.INST[0], pickle.OBJ[0], pickle.NEWOBJ[0], pickle.NEWOBJ_EX[0]), refuse),
        **dict.fromkeys((pickle.NEXT_BUFFER[0], pickle.READONLY_BUFFER[0]), refuse),
    }


def _array_state(state: object) -> tuple:
    """Return the state of an array once its shape, type and elements are known to agree.

    Unchecked, a state makes numpy read past a list's end or take bytes for pointers.
    """
    if not isinstance(state, tuple) or len(state) != 5:
        raise UnsafePickleError('gives an array a state that is none.')
    version, shape, dtype, fortran, content = state
    dtype = _plain_dtype(dtype)
    if dtype.hasobject and isinstance(content, list):
        elements = len(content)
    elif isinstance(content, (bytes, str)):
        content = _bytes(content, 'latin1')
        elements = _raw_elements(dtype, content).size
    else:
        raise UnsafePickleError(f'gives an array of {dtype} a {type(content).__name__} as its content.')
    if version != 1 or not isinstance(fortran, (bool, int)):
        raise UnsafePickleError(f'gives an array a state of version {reprlib.repr(version)}.')
    return 1, _plain_shape(shape, elements), dtype, bool(fortran), content


def _unfolded(
    value: object, known: dict[int, tuple[int, int]], limit: int, depth: int = 0
) -> tuple[int, int]:
    """Return how many objects ``value`` holds, those it uses twice counted twice, and how deep they nest.

    A few bytes can stand for a list of lists of lists with more items than any computer has memory for.
    """
    if depth > DEPTH:
        raise UnsafePickleError(f'nests containers deeper than {DEPTH}, or one in itself.')
    if id(value) not in known:
        parts = value.values() if isinstance(value, dict) else value.flat if _is_array(value) else value
        size, height = len(parts), 0
        for part in parts:
            if isinstance(part, CONTAINERS) or _is_array(part):
                found = _unfolded(part, known, limit, depth + 1)
                size, height = size + found[0], max(height, found[1])
        known[id(value)] = size, height + 1
    size, height = known[id(value)]
    if size > limit or depth + height > DEPTH + 1:
        raise UnsafePickleError('uses parts of itself so often that it would not fit into memory.')
    return size, height


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.hasobject
