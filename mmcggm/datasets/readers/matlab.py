"""Files of MATLAB, of all its versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .h5_files import open_h5, reading, stored


def read_matlab(path: Path) -> Mapping[str, Any]:
    """Return the arrays of a file by name, with a sample's numbers side by side.

    Raises:
        ValueError: If the file is damaged.
    """
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
    """Return an array in the order in which samples are read; MATLAB keeps columns together.

    It also fills up text with spaces, so that each is as long as the longest.
    """
    if not isinstance(value, np.ndarray):
        return value
    return np.char.rstrip(value, ' ') if value.dtype.kind == 'U' else np.array(value, order='C')


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
