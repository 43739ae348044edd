"""Arrays that a config names as ``'path:key'``, from files of any common kind.

Nothing in a file is run: pickles and what torch saves may hold arrays and plain containers alone.
"""

from __future__ import annotations

import glob
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmcggm.utils import import_optional
from mmcggm.utils.file_kind import no_content

from .archive import Archive
from .containers import as_values, each, pick, some_of, stacked
from .h5_files import EXTRA, open_h5, reading, stored
from .mapped import MappedArray
from .matlab import read_matlab
from .npz import header_of_npy
from .safe_pickle import load_pickle
from .source import HDF5, SUFFIXES, TABLES, TORCH, Read, Source
from .tables import Table


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
        if '*' in str(path):
            return _from_files(source)
        raise FileNotFoundError(
            f"`{source.setting}`: there is no file '{path}'.{_others(path)}{source.advice}"
        )
    if (what := no_content(path)) is not None:
        raise ValueError(f'`{source.setting}`: {path} {what}')
    if path.name.endswith(TABLES):
        table = Table(path, source.header, source.names)
        values = table.pick(source.key)
        values = as_values(list(values), source) if values.dtype == object else values
        return Read(values, table.names, columns=table.columns(source.key))
    if suffix in HDF5:
        read = _from_h5(source)
    elif suffix == '.npy' and not source.key and (mapped := _mapped_npy(path)) is not None:
        read = Read(mapped)
    elif '*' in source.key.split('/'):
        read = each(_content(path, suffix), source)
    else:
        read = Read(as_values(pick(_content(path, suffix), source.key, source), source))
    if source.names:
        names = read_source(replace(source, key=source.names, names='')).values
        read = replace(read, names=np.asarray(names).astype(str).ravel())
    return replace(read, values=_decoded(read.values, source))


def _from_files(source: Source) -> Read:
    """Return what a file of each sample holds, and the samples' names, which ``*`` in the path stands for."""
    before, _, after = str(source.path).partition('*')
    if '*' in after:
        raise ValueError(f"`{source.setting}`: '{source.path}' may hold one '*', the name of a sample.")
    paths = sorted(glob.glob(f'{glob.escape(before)}*{glob.escape(after)}'))
    if not paths:
        raise FileNotFoundError(
            f"`{source.setting}`: there is no file '{source.path}'.{_others(source.path)}{source.advice}"
        )
    rows = [np.asarray(read_source(replace(source, path=Path(path))).values) for path in paths]
    names = [path[len(before) : len(path) - len(after)] for path in paths]
    return Read(stacked(rows, source), np.array(names), by_name=True)


def _decoded(values: Any, source: Source) -> Any:
    """Return text where a file has bytes, which numpy and Python 2 write for text."""
    if isinstance(values, list) or values.dtype.kind != 'S':
        return values
    try:
        return np.char.decode(np.asarray(values), 'utf-8')
    except UnicodeDecodeError as error:
        raise ValueError(f'`{source.setting}`: {source} holds bytes that are no text in UTF-8.') from error


def _content(path: Path, suffix: str) -> Any:
    if suffix == '.npy':
        return _object_npy(path)
    if suffix == '.npz':
        return Archive(path)
    if suffix == '.mat':
        return read_matlab(path)
    with open(path, 'rb') as file:
        is_archive = file.read(4) == b'PK\x03\x04'  # what torch.save writes, also to a file called .pkl
    if suffix in TORCH or is_archive:
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


def _from_h5(source: Source) -> Read:
    path = source.path
    with reading(path, source.key), open_h5(path, locking=False) as file:
        names = _names_in(file)
        key = source.key or (names[0] if len(names) == 1 else '')
        if '*' in key.split('/'):
            pattern = re.compile('/'.join('([^/]+)' if s == '*' else re.escape(s) for s in key.split('/')))
            found = {match[1]: stored(file, match[0]) for match in map(pattern.fullmatch, names) if match}
            if found:
                rows = [np.asarray(_h5_values(values, source)) for values in found.values()]
                return Read(stacked(rows, source), np.array(list(found)), by_name=True)
        values = stored(file, key) if key else None
        if values is None:
            raise ValueError(
                f"`{source.setting}`: {path} has no array '{key}'; it has {some_of(names)}. Name one after a "
                f"colon: '{path.name}:{names[0] if names else 'KEY'}'; or, where each sample has one, write "
                f"'*' for its name.{source.advice}"
            )
        offset = values.id.get_offset()
        if offset is not None and values.dtype.kind in 'biuf':
            return Read(MappedArray(path, values.dtype, offset, values.shape))
        return Read(_h5_values(values, source))


def _h5_values(values: Any, source: Source) -> np.ndarray | list:
    if import_optional('h5py', EXTRA).check_string_dtype(values.dtype) is not None:
        return np.asarray(values.asstr('utf-8')[()]).astype(str)
    return as_values(list(values[()]), source) if values.dtype == object else values[()]


def _names_in(file: Any) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if hasattr(node, 'dtype') else None)
    return names


def _others(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder '{path.parent}' either: check `data_root`."
    names = sorted(file.name for file in path.parent.iterdir() if file.name.endswith(SUFFIXES))
    return f" '{path.parent}' has {some_of(names)}."
