"""Which process does a run, where several work on one folder, on one host or on several."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from mmcggm.utils.processes import is_alive, place

FOLDER = '.claims'
PATIENCE = 300.0  # seconds without a sign of life, after which a claim is void


class Claims:
    """The claims of this process in a folder that others share.

    A claim is a file that its owner alone could create, and that it touches now and then. It is void when its
    process is gone, or, on another host, when nobody touched it for ``patience`` seconds by the clock of the
    one that looks. Then the next claim is a file beside it that names it, which again one alone can create.

    Args:
        folder: What is shared; claims are in ``.claims`` in it.
        patience: In seconds.
    """

    def __init__(self, folder: Path, patience: float = PATIENCE) -> None:
        self._folder = folder / FOLDER
        self._patience = patience
        self._own: dict[str, Path] = {}
        self._seen: dict[Path, tuple[int, float]] = {}  # when a claim was touched, and when we saw it first
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._touch, daemon=True)

    def __enter__(self) -> Claims:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for name in list(self._own):
            self.release(name)
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # unless others have claims

    def take(self, name: str) -> bool:
        """Claim ``name``; return whether it is ours now."""
        path, last = self._folder / _file_name(name), None
        for path in self._chain(name):
            last = path
        if last is not None:
            if not self._is_void(last):
                return False
            path = last.with_name(f'{_file_name(name)}.{_token(last)}')
        try:
            with path.open('x', encoding='utf-8') as file:
                file.write(f'{uuid4().hex} {place()} {os.getpid()} {platform.node()}')
        except (FileExistsError, FileNotFoundError):  # another was faster, or has just ended
            return False
        with self._lock:
            self._own[name] = path
        return True

    def release(self, name: str) -> None:
        """Give up a claim of ours, and remove the void ones before it."""
        with self._lock:
            del self._own[name]
        for path in list(self._chain(name)):
            path.unlink(missing_ok=True)

    def _chain(self, name: str) -> Iterator[Path]:
        """Yield the claims of ``name`` from the first to that which counts."""
        path = self._folder / _file_name(name)
        while path.exists():
            yield path
            path = path.with_name(f'{_file_name(name)}.{_token(path)}')

    def _is_void(self, path: Path) -> bool:
        _, where, process = ([*_read(path).split(), '', '', ''])[:3]
        if where == place() and process.isdecimal():
            return not is_alive(int(process))
        try:
            touched = path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        now = time.monotonic()
        before, since = self._seen.get(path, (touched, now))
        if before != touched:
            since = now
        self._seen[path] = touched, since
        return now - since > self._patience

    def _touch(self) -> None:
        while not self._ended.wait(self._patience / 10):
            with self._lock:
                paths = list(self._own.values())
            for path in paths:
                with contextlib.suppress(FileNotFoundError):  # released meanwhile
                    os.utime(path)


def _file_name(name: str) -> str:
    return name.replace('/', '+')


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8')
    except FileNotFoundError:
        return ''


def _token(path: Path) -> str:
    return (_read(path).split() or ['unwritten'])[0]
