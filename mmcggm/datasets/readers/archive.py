"""Arrays of an ``.npz`` file of any origin, read one at a time."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .npz import header_of_npy, parse_npy
from .safe_pickle import UnsafePickleError, load_pickled


class Archive(Mapping):
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

    def __getitem__(self, name: str) -> Any:
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
                content = file.read(f'{name}.npy')  # to its end, where its checksum is compared
            member = io.BytesIO(content)
            if header_of_npy(member)[2].hasobject:
                return load_pickled(member, len(content), self.path)
            return parse_npy(content)
        except (OSError, UnsafePickleError):
            raise
        except Exception as error:  # zipfile and numpy raise whatever the broken bytes lead to
            raise ValueError(f"{self.path}: '{name}' cannot be read ({error}).") from error


def _memory() -> int:
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
