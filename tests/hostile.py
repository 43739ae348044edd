"""Checkpoints that would run a command when they are loaded, in the ways in which that can be hidden."""

from __future__ import annotations

import copy
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import HistoryBuffer


class Command:
    """Pickled, it writes a file when it is loaded; it needs nothing but the standard library."""

    def __init__(self, target: Path) -> None:
        self.text = f'open({str(target)!r}, "w").close()'

    def __reduce__(self) -> tuple:
        return exec, (self.text,)


class Chain:
    """Pickled, it asks for the globals of a module, out of which anything can be had."""

    def __reduce__(self) -> tuple:
        return getattr, (HistoryBuffer.update, '__globals__')


def reduced(checkpoint: dict, target: Path, path: Path) -> None:
    torch.save({**checkpoint, 'extra': Command(target)}, path)


def in_the_optimizer(checkpoint: dict, target: Path, path: Path) -> None:
    optimizer = copy.copy(checkpoint['optimizer'])
    optimizer['state'] = {**optimizer['state'], 0: Command(target)}
    torch.save({**checkpoint, 'optimizer': optimizer}, path)


def chained(checkpoint: dict, target: Path, path: Path) -> None:
    """By a statistic of MMEngine's history, which its class would have from then on."""
    history = HistoryBuffer([1.0], [1])
    history.__dict__['_statistics_methods'] = {'mean': Chain()}
    hub = {**checkpoint['message_hub'], 'log_scalars': dict(loss=history)}
    torch.save({**checkpoint, 'message_hub': hub}, path)


def legacy(checkpoint: dict, target: Path, path: Path) -> None:
    content = {**checkpoint, 'extra': Command(target)}
    torch.save(content, path, _use_new_zipfile_serialization=False)


def pickled(checkpoint: dict, target: Path, path: Path) -> None:
    path.write_bytes(pickle.dumps(Command(target), protocol=2))


def tarred(checkpoint: dict, target: Path, path: Path) -> None:
    content = pickle.dumps(Command(target), protocol=2)
    with tarfile.open(path, 'w') as archive:
        for name in ('storages', 'tensors', 'pickle', 'sys_info'):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


FORMS: dict[str, Callable[[dict[str, Any], Path, Path], None]] = {
    form.__name__: form for form in (reduced, in_the_optimizer, chained, legacy, pickled, tarred)
}
