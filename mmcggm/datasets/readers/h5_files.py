"""HDF5 files, of which nothing is read but what they hold themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmcggm.utils import import_optional
from mmcggm.utils.file_kind import no_content

if TYPE_CHECKING:
    import h5py

EXTRA = 'data'


def open_h5(path: Path, advice: str = 'Get it again.', locking: bool | None = None) -> h5py.File:
    """Open ``path`` for reading; with ``locking=False`` also where a file system knows no locks.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If it cannot be read as HDF5; ``advice`` ends the message.
    """
    h5py = import_optional('h5py', EXTRA)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file '{path}'. {advice}")
    if (what := no_content(path)) is not None:
        raise ValueError(f'{path} {what}')
    try:
        return h5py.File(path, 'r', locking=locking)
    except PermissionError:
        raise
    except Exception as error:  # h5py raises whatever the broken bytes lead to
        raise ValueError(f'{path} cannot be read as HDF5 ({error}). {advice}') from error


@contextmanager
def reading(path: Path, name: str = '') -> Iterator[None]:
    """Name the file in what h5py raises over broken bytes, which may be anything."""
    try:
        yield
    except (FileNotFoundError, ImportError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        what = f" '{name}'" if name else ''
        raise ValueError(
            f'{path}:{what} cannot be read ({type(error).__name__}: {error}). Get the file again.'
        ) from error


def numbers(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """Return the data set ``name`` of real numbers that the file itself holds, or None if there is none.

    Raises:
        ValueError: If it is a link, or its values lie in another file, or are no real numbers.
    """
    found = stored(group, name)
    if found is not None and found.dtype.kind not in 'fiu':
        raise ValueError(f"{group.file.filename}: '{name}' holds {found.dtype}, no real numbers.")
    return found


def stored(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """Return the data set ``name`` that the file itself holds, or None if there is none.

    Raises:
        ValueError: If it is a link, or its values lie in another file.
    """
    h5py = import_optional('h5py', EXTRA)
    # By h5py's lower interface, which takes a third of the time.
    links, steps = group.id.links, name.encode().strip(b'/').split(b'/')
    for end in range(1, len(steps) + 1):
        path = b'/'.join(steps[:end])
        if not links.exists(path):
            return None
        if links.get_info(path).type != h5py.h5l.TYPE_HARD:
            raise ValueError(
                f"{group.file.filename}: '{name}' is a link, perhaps to another file, which is not followed. "
                'Copy what it names into the file.'
            )
    node = h5py.h5o.open(group.id, path)
    if not isinstance(node, h5py.h5d.DatasetID):
        return None
    made = node.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count():
        raise ValueError(
            f"{group.file.filename}: the values of '{name}' lie in another file, which is not read. "
            'Copy them into this one.'
        )
    return h5py.Dataset(node)


def read_vectors(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """Return the arrays of ``names`` as float32, each empty if there is none.

    Raises:
        ValueError: If they can't be read.
    """
    with reading(path), open_h5(path) as file:
        found = [numbers(file, name) for name in names]
        return [np.empty(0, np.float32) if x is None else x[()].astype(np.float32) for x in found]


def some(items: Sequence[str]) -> str:
    """Return the first items of a list for a message."""
    return ', '.join(item if item.isprintable() else repr(item) for item in items[:5]) + (
        f' and {len(items) - 5} more' if len(items) > 5 else ''
    )
