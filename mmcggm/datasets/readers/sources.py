"""Arrays that a config names as ``'path:key'``, from files of any common kind.

Nothing in a file is run: pickles and what torch saves may hold arrays and plain containers alone.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .h5_files import open_h5, reading, stored
from .mapped import MappedArray
from .npz import header_of_npy, parse_npy
from .safe_pickle import load_pickle
from .tables import SUFFIXES as TABLES
from .tables import Table

HDF5 = ('.h5', '.hdf5', '.hdf')
TORCH = ('.pt', '.pth', '.bin', '.safetensors')
PICKLES = ('.pkl', '.pickle', '.p')
SUFFIXES = ('.npy', '.npz', *HDF5, '.mat', *TABLES, *TORCH, *PICKLES)
SPLIT_AT = re.compile(rf'(.*?({"|".join(re.escape(s) for s in SUFFIXES)}))(?::(.*))?', re.DOTALL)
SHOWN = 12  # names in a message


@dataclass(frozen=True)
class Source:
    """Where an array stands.

    Attributes:
        path: The file.
        key: Where in it, step by step, parted by slashes: names in mappings and groups, places in lists; of a
            table, its columns. Empty for all that the file holds.
        setting: The config's key, for messages.
        header: Of a table, see :class:`Table`.
        channels: Which of the last axis to take.
        split: What ``{split}`` stood for in the setting; None if it held none.
    """

    path: Path
    key: str
    setting: str
    header: bool | None = None
    channels: slice = field(default_factory=lambda: slice(None))
    split: str | None = None

    @classmethod
    def of(cls, value: str | Mapping[str, Any], root: str | Path, split: str | None, setting: str) -> Source:
        """Read a setting: ``'path:key'``, or ``dict(file=path, key=key, header=…, channels='0:3')``.

        ``{split}`` in it stands for ``split``.

        Raises:
            ValueError: If it names no file of a known kind.
        """
        entry = dict(value) if isinstance(value, Mapping) else dict(file=value)
        unknown = set(entry) - {'file', 'key', 'header', 'channels'}
        if unknown or not isinstance(entry.get('file'), str) or not isinstance(entry.get('key', ''), str):
            raise ValueError(
                f"`{setting}` must be 'path:key', or a dict of `file`, `key`, "
                f'`header` and `channels`, got {value!r}.'
            )
        text = entry['file'] if 'key' not in entry else f'{entry["file"]}:{entry["key"]}'
        if '{split}' in text and split is None:
            raise ValueError(f"`{setting}` is '{text}', so `split` must say which to take.")
        found = SPLIT_AT.fullmatch(text.replace('{split}', str(split)))
        if found is None:
            raise ValueError(
                f"`{setting}` is '{text}', which ends in none of {', '.join(SUFFIXES)}. Convert the file to "
                'one of these, or name a key after a colon: file.npz:key.'
            )
        path = Path(root, found[1])
        channels = _range(entry.get('channels'), setting)
        used = split if '{split}' in text else None
        return cls(path, found[3] or '', setting, entry.get('header'), channels, used)

    @property
    def advice(self) -> str:
        """What to do if the files may call the split otherwise; begins with a space, or is empty."""
        if self.split is None:
            return ''
        return f" '{self.split}' is the `split` of this data set: set it to what the files call it."

    def __str__(self) -> str:
        return f'{self.path}{f", {self.key!r}" if self.key else ""}'


def _range(text: str | None, setting: str) -> slice:
    if text is None:
        return slice(None)
    found = re.fullmatch(r'(\d*):(\d*)', text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"`{setting}.channels` must be a range such as '0:3', got {text!r}.")
    return slice(*(int(end) if end else None for end in found.groups()))


@dataclass(frozen=True)
class Read:
    """What a source holds.

    Attributes:
        values: ``(N, ...)`` numbers or text, perhaps still in its file; or a list of arrays that differ in
            length.
        names: Of the rows, text ``(N,)``, where the file has any.
    """

    values: np.ndarray | MappedArray | list
    names: np.ndarray | None = None


def read_source(source: Source) -> Read:
    """Return what ``source`` holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a package is missing that reads such files.
        UnsafePickleError: If a pickle would run code.
        CheckpointError: If torch's file holds more than data.
        ValueError: If the file is damaged, or holds nothing or no array under the key.
    """
    path, suffix = source.path, source.path.suffix
    if not path.is_file():
        raise FileNotFoundError(
            f"`{source.setting}`: there is no file '{path}'.{_others(path)}{source.advice}"
        )
    if suffix in TABLES:
        table = Table(path, source.header)
        return Read(table.pick(source.key), table.names)
    if suffix in HDF5:
        return Read(_from_h5(source))
    if suffix == '.npy' and not source.key and (mapped := _mapped_npy(path)) is not None:
        return Read(mapped)
    content = pick(_content(path, suffix), source.key, source)
    return Read(_as_values(content, source))


def pick(content: Any, key: str, source: Source) -> Any:
    """Return what is under ``key`` in nested containers.

    Raises:
        ValueError: If there is nothing; it lists what there is.
    """
    if not key:
        if isinstance(content, Mapping) and len(content) == 1:
            return next(iter(content.values()))
        return content
    for step, rest in _steps(key):
        found, part = _entry(content, step)
        if found:
            return pick(part, rest, source)
    raise ValueError(
        f"`{source.setting}`: {source.path} has no '{key}'; {_described(content)}{source.advice}"
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


def _content(path: Path, suffix: str) -> Any:
    if suffix == '.npy':
        return _object_npy(path)
    if suffix == '.npz':
        return _Archive(path)
    if suffix == '.mat':
        return _from_matlab(path)
    if suffix in TORCH:
        # Here, since it imports MMEngine's runner, which takes as long as torch.
        from mmcggm.utils.checkpoints import read_data

        return read_data(path)
    return load_pickle(path)


def _mapped_npy(path: Path) -> MappedArray | None:
    """Return the array in an ``.npy`` file, or None if it holds Python objects."""
    with open(path, 'rb') as file:
        try:
            shape, fortran, dtype = header_of_npy(file)
        except Exception as error:  # numpy raises whatever the broken bytes lead to
            raise ValueError(f'{path} cannot be read as an array: {error}.') from error
        offset = file.tell()
    if dtype.hasobject:
        return None
    return MappedArray(path, dtype, offset, shape, 'F' if fortran else 'C')


def _object_npy(path: Path) -> Any:
    with open(path, 'rb') as file:
        _, _, dtype = header_of_npy(file)
        start = file.tell()
    if not dtype.hasobject:
        return np.asarray(_mapped_npy(path))
    value = load_pickle(path, start)
    return value.item() if isinstance(value, np.ndarray) and value.shape == () else value


class _Archive(Mapping):
    """The arrays of an ``.npz`` file, read when they are asked for, with their checksums checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as file:
                self._sizes = {info.filename.removesuffix('.npy'): info.file_size for info in file.infolist()}
        except zipfile.BadZipFile as error:
            raise ValueError(f'{path} is not a whole .npz file ({error}). Get it again.') from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._sizes:
            raise KeyError(name)
        if self._sizes[name] > (memory := _memory()):  # a few bytes may unpack to more than any memory holds
            raise ValueError(
                f"{self.path}: '{name}' has {self._sizes[name] / 1e9:.1f} GB, this machine "
                f'{memory / 1e9:.1f}. '
                'Make one file of it that is read row by row, by `mmcggm convert features`.'
            )
        try:
            with zipfile.ZipFile(self.path) as file:
                return parse_npy(file.read(f'{name}.npy'))  # to its end, where its checksum is compared
        except OSError:
            raise
        except Exception as error:  # zipfile and numpy raise whatever the broken bytes lead to
            raise ValueError(f"{self.path}: '{name}' cannot be read ({error}).") from error


def _memory() -> int:
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def _from_matlab(path: Path) -> Mapping[str, Any]:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except NotImplementedError:  # since 7.3 these are HDF5
        return _Matlab73(path)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # scipy raises whatever the broken bytes lead to
        raise ValueError(f'{path} cannot be read as a file of MATLAB ({error}).') from error
    return {name: _rows_together(value) for name, value in content.items() if not name.startswith('__')}


def _rows_together(value: Any) -> Any:
    """Return an array in the order in which samples are read; MATLAB keeps columns together."""
    return np.array(value, order='C') if isinstance(value, np.ndarray) else value


class _Matlab73(Mapping):
    """The arrays of MATLAB's HDF5 files, whose axes are in reverse order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path), open_h5(path) as file:
            self._names = [name for name in file if not name.startswith('#')]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> np.ndarray:
        if name.split('/')[0] not in self._names:
            raise KeyError(name)
        with reading(self.path, name), open_h5(self.path) as file:
            values = stored(file, name)
            if values is None:
                raise KeyError(name)
            if values.dtype.kind not in 'fiu':
                raise ValueError(f"{self.path}: '{name}' holds {values.dtype}, no real numbers.")
            return _rows_together(values[()].T)


def _from_h5(source: Source) -> np.ndarray | MappedArray:
    path = source.path
    with reading(path, source.key), open_h5(path, locking=False) as file:
        names = _names_in(file)
        key = source.key or (names[0] if len(names) == 1 else '')
        values = stored(file, key) if key else None
        if values is None:
            raise ValueError(
                f"`{source.setting}`: {path} has no array '{key}'; it has {_some(names)}. Name one after a "
                f"colon: '{path.name}:{names[0] if names else 'KEY'}'.{source.advice}"
            )
        offset = values.id.get_offset()
        if offset is not None and values.dtype.kind in 'biuf':
            return MappedArray(path, values.dtype, offset, values.shape)
        if values.dtype.kind in 'OS':
            return values.asstr()[()].astype(str)
        return values[()]


def _names_in(file: Any) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if hasattr(node, 'dtype') else None)
    return names


def _as_values(content: Any, source: Source) -> np.ndarray | list:
    """Return what was picked as an array, or a list of arrays that differ in length."""
    if isinstance(content, torch.Tensor):
        content = content.detach().cpu()
        return (content.float() if content.dtype == torch.bfloat16 else content).numpy()
    content = _unwrapped(content)
    if isinstance(content, np.ndarray) and content.dtype.names is None and content.dtype != object:
        return content
    if isinstance(content, (list, tuple)) or (isinstance(content, np.ndarray) and content.dtype == object):
        rows = list(content.ravel() if isinstance(content, np.ndarray) and content.ndim > 1 else content)
        return _stacked([_as_values(row, source) if _is_nested(row) else row for row in rows], source)
    raise ValueError(
        f'`{source.setting}` must name an array, but {source} is a {type(content).__name__}: '
        f'{_described(content)}'
    )


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, tuple, torch.Tensor, np.ndarray, Mapping))


def _stacked(rows: list, source: Source) -> np.ndarray | list:
    shapes = {np.shape(row) for row in rows}
    if len(shapes) > 1:
        return [np.asarray(row) for row in rows]
    values = np.array(rows)
    if values.dtype.kind not in 'biufUS':
        raise ValueError(
            f'`{source.setting}`: {source} holds {type(rows[0]).__name__}, neither numbers nor text.'
        )
    return values


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f'it has {_some([str(name) for name in content])}.'
    if isinstance(content, np.ndarray) and content.dtype.names:
        return f'it has {_some(list(content.dtype.names))}.'
    if isinstance(content, (list, tuple)):
        return f'it has {len(content)} entries, from 0 to {len(content) - 1}.'
    shape = f' of shape {tuple(content.shape)}' if hasattr(content, 'shape') else ''
    return f'there is a {type(content).__name__}{shape}.'


def _some(names: list[str]) -> str:
    shown = ', '.join(f"'{name}'" for name in names[:SHOWN]) or 'nothing'
    return shown + (f' and {len(names) - SHOWN} more' if len(names) > SHOWN else '')


def _others(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder '{path.parent}' either: check `data_root`."
    names = sorted(file.name for file in path.parent.iterdir() if file.suffix in SUFFIXES)
    return f" '{path.parent}' has {_some(names)}."
