"""What a config says of an array in a file, and what is read there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .mapped import MappedArray
from .tables import SUFFIXES as TABLES

HDF5 = ('.h5', '.hdf5', '.hdf')
TORCH = ('.pt', '.pth', '.bin', '.safetensors')
PICKLES = ('.pkl', '.pickle', '.p')
SUFFIXES = ('.npy', '.npz', *HDF5, '.mat', *TABLES, *TORCH, *PICKLES)
SPLIT_AT = re.compile(rf'(.*?({"|".join(re.escape(s) for s in SUFFIXES)}))(?::(.*))?', re.DOTALL)


@dataclass(frozen=True)
class Source:
    """Where an array stands.

    Attributes:
        path: The file. ``*`` in it stands for the name of a sample: then each sample has a file of its own.
        key: Where in it, step by step, parted by slashes: names in mappings and groups, places in lists; of a
            table, its columns. The step ``*`` is each entry, a sample. Empty for all that the file holds.
        setting: The config's key, for messages.
        header: Of a table, see :class:`Table`.
        names: The key of the rows' names in the same file, or the column of a table; empty if there is none.
        channels: Which of the last axis to take.
        split: What ``{split}`` stood for in the setting; None if it held none.
    """

    path: Path
    key: str
    setting: str
    header: bool | None = None
    names: str = ''
    channels: slice = field(default_factory=lambda: slice(None))
    split: str | None = None

    @classmethod
    def of(cls, value: str | Mapping[str, Any], root: str | Path, split: str | None, setting: str) -> Source:
        """Read a setting: ``'path:key'``, or a dict of ``file``, ``key``, ``header``, ``names`` and
        ``channels``.

        ``{split}`` in it stands for ``split``.

        Raises:
            ValueError: If it names no file of a known kind.
        """
        entry = dict(value) if isinstance(value, Mapping) else dict(file=value)
        unknown = set(entry) - {'file', 'key', 'header', 'names', 'channels'}
        texts = [entry.get('file'), entry.get('key', ''), entry.get('names', '')]
        if unknown or not all(isinstance(text, str) for text in texts):
            raise ValueError(
                f"`{setting}` must be 'path:key', or a dict of `file`, `key`, "
                f'`header`, `names` and `channels`, got {value!r}.'
            )
        text = entry['file'] if 'key' not in entry else f'{entry["file"]}:{entry["key"]}'
        names = entry.get('names', '')
        used = split if '{split}' in text + names else None
        if '{split}' in text + names and split is None:
            raise ValueError(f"`{setting}` is '{text}', so `split` must say which to take.")
        text, names = (part.replace('{split}', str(split)) for part in (text, names))
        found = SPLIT_AT.fullmatch(text)
        if found is None:
            raise ValueError(
                f"`{setting}` is '{text}', which ends in none of {', '.join(SUFFIXES)}. Convert the file to "
                'one of these, or name a key after a colon: file.npz:key.'
            )
        header = entry.get('header')
        if header is not None and not found[1].endswith(TABLES):
            raise ValueError(f"`{setting}.header` is of tables, but '{found[1]}' is none: take it out.")
        if names and '*' in text:
            raise ValueError(f"`{setting}`: '*' in '{text}' names the samples already: take out `names`.")
        channels = _range(entry.get('channels'), setting)
        return cls(Path(root, found[1]), found[3] or '', setting, header, names, channels, used)

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
        by_name: Whether the names alone tell which row is which: the order is that of a folder or a mapping.
        columns: The columns of a table that were read.
    """

    values: np.ndarray | MappedArray | list
    names: np.ndarray | None = None
    by_name: bool = False
    columns: tuple[str, ...] = ()
