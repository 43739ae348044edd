"""Which data a training reads, told by what the files hold."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmcggm.utils.atomic import replacing
from mmcggm.utils.file_hash import hash_file

FILE = 'data.json'  # in the folder of a benchmark, and in that of each run
FOLDERS = ('data_root', 'data_prefix', 'path', 'tokenizer', 'root')  # keys that may name one without a slash
WORTH_A_LINE = 1e9  # bytes


class DataFiles:
    """Digests of the files and folders that configs name in data loaders, model and ``load_from``.

    What files hold counts, and neither their times nor where they lie. Their content is read once, and
    again only if their size or times have changed.

    Args:
        memory: The file that remembers from call to call. The folder that it lies in is no data.
    """

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._own = None if memory is None else os.path.realpath(memory.parent)
        self._known: dict[str, list] = _read_json(memory) if memory is not None else {}
        self._digests: dict[str, str] = {}

    def digests(self, cfg: Config, again: bool = False) -> dict[str, str]:
        """Return by file or folder, as the config names it, a digest of all in it.

        Hidden files don't count; links are followed.

        Args:
            cfg: The config.
            again: Whether to look anew at what an earlier call has seen.

        Raises:
            OSError: If a file can't be read.
        """
        content = cfg.to_dict()
        parts = [content.get('model'), {'load_from': content.get('load_from')}]
        parts += [part for key, part in content.items() if key.endswith('dataloader')]
        paths = sorted({path for part in parts for path in _named(part)})
        files = {path: sorted(self._files(path)) for path in paths if again or path not in self._digests}
        self._read([file for found in files.values() for file in found])
        self._digests |= {path: self._digest(path, found) for path, found in files.items()}
        return {path: self._digests[path] for path in paths}

    def _files(self, path: str) -> Iterator[str]:
        if os.path.isfile(path):
            yield path
            return
        seen = set()
        for folder, folders, names in os.walk(path, followlinks=True, onerror=_raise):
            real = os.path.realpath(folder)
            if real in seen or real == self._own:  # a link that leads back up
                folders.clear()
                continue
            seen.add(real)
            folders[:] = [name for name in folders if name[0] != '.']
            yield from (
                file
                for name in names
                if name[0] != '.' and os.path.isfile(file := os.path.join(folder, name))
            )

    def _read(self, files: list[str]) -> None:
        states = {os.path.realpath(file): _state(file) for file in files}
        changed = [file for file, state in states.items() if self._known.get(file, [None])[:-1] != state]
        size = sum(states[file][0] for file in changed)
        if size > WORTH_A_LINE:
            print_log(f'Reading {size / 1e9:.1f} GB of data, to notice when they change.', 'current')
        for file in changed:
            self._known[file] = [*states[file], hash_file(Path(file))]
        if changed and self._memory is not None:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._memory) as temporary:
                temporary.write_text(json.dumps(self._known, indent=0) + '\n', encoding='utf-8')

    def _digest(self, path: str, files: list[str]) -> str:
        digest = hashlib.sha256()
        for file in files:
            content = self._known[os.path.realpath(file)][-1]
            digest.update(f'{os.path.relpath(file, path)}\0{content}\0'.encode(errors='surrogateescape'))
        return digest.hexdigest()


def changed_data(folder: Path, data: Mapping[str, str]) -> list[str]:
    """Return what has other content, is new or is gone, since a run wrote its data into ``folder``."""
    before = _read_json(folder / FILE)
    return sorted(path for path in {*before, *data} if before.get(path) != data.get(path))


def write_data(folder: Path, data: Mapping[str, str]) -> None:
    """Write what :func:`changed_data` compares."""
    with replacing(folder / FILE) as temporary:
        temporary.write_text(json.dumps(data, indent=2) + '\n', encoding='utf-8')


def _named(value: Any, key: str = '', root: str = '') -> Iterator[str]:
    """Yield the existing files and folders that a part of a config names."""
    if isinstance(value, dict):
        root = value['data_root'] if isinstance(value.get('data_root'), str) else root
        for name, part in value.items():
            yield from _named(part, name, root)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _named(part, key, root)
    elif isinstance(value, str) and value and '\0' not in value:
        for path in {value, os.path.join(root, value)}:
            if os.path.isfile(path) or (os.path.isdir(path) and (key in FOLDERS or os.sep in value)):
                yield path


def _state(file: str) -> list[int]:
    status = os.stat(file)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):  # then everything is read anew
        return {}
    return content if isinstance(content, dict) else {}


def _raise(error: OSError) -> None:
    raise error
