"""What features were made of, so that those of something else are noticed."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset

from mmcggm.utils.file_hash import hash_file

# Settings that name folders. Not their names but the contents of these kinds of files count.
FOLDERS = dict(path=('.json', '.txt', '.safetensors', '.bin'), tokenizer=('.json', '.txt'), data_root=())


def fingerprint(dataset: BaseDataset, settings: dict[str, Any]) -> dict[str, str]:
    """Return what determines features, by part.

    Args:
        dataset: The data set, of which only ``ann_file`` is read.
        settings: Configs by part, for example ``{'data set': ..., 'encoder of text': ...}``.

    Returns:
        For each part its settings as JSON, with hashes of weights and tokenizers in the place of their
        folders, and a hash of ``annotations``.

    Raises:
        FileNotFoundError: If a folder or the file of annotations is absent.
    """
    parts = {name: json.dumps(_contents(value), sort_keys=True) for name, value in settings.items()}
    return {**parts, 'annotations': _hash_file(Path(dataset.ann_file)) if dataset.ann_file else ''}


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return the names of the parts in which two fingerprints differ."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _contents(value: Any, key: str = '') -> Any:
    if key in FOLDERS and isinstance(value, str):
        if not FOLDERS[key]:
            return None
        files = sorted(_present(Path(value)).iterdir())
        return {file.name: _hash_file(file) for file in files if file.suffix in FOLDERS[key]}
    if isinstance(value, dict):
        return {name: _contents(part, name) for name, part in value.items()}
    return [_contents(part) for part in value] if isinstance(value, (list, tuple)) else value


def _hash_file(path: Path) -> str:
    status = _present(path).stat()
    return _hash(path, status.st_size, status.st_mtime_ns)


def _present(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(
            f"'{path}', of which features were made, is absent, so they can't be checked: put it there, or "
            'change the config to where it is.'
        )
    return path


@lru_cache
def _hash(path: Path, size: int, modified: int) -> str:
    """Hash a file of this size and time, once in a process."""
    return hash_file(path)
