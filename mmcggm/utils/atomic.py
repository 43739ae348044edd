"""Files that are either complete or absent."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import is_alive, place

TEMPORARY_PREFIX = '.tmp-'
DAY = 24 * 60 * 60


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place once the block succeeds.

    After an error nothing of the temporary file stays, and an older ``path`` is untouched. What is there
    afterwards has reached the disk, also if the machine fails then. The temporary name keeps the suffixes of
    ``path``, so that writers that go by them still work.
    """
    path = Path(path)
    temporary = temporary_path(path, os.getpid())
    _own.add(temporary)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        _own.discard(temporary)


def temporary_path(path: Path, process: int) -> Path:
    """Return where a process of this machine, by its number, writes what shall become ``path``."""
    return path.with_name(f'{TEMPORARY_PREFIX}{place()}-{process}-{path.name}')


def remove_stale(folder: str | Path) -> None:
    """Delete the temporary files that killed processes left in ``folder``.

    That of a process that may be running stays: one of this machine that is alive, and one of another
    machine or container, of which nothing is known here, unless a day has gone by since it was written.
    """
    for leftover in Path(folder).glob(f'{TEMPORARY_PREFIX}*'):
        if leftover not in _own and _is_stale(leftover):
            leftover.unlink(missing_ok=True)


_own: set[Path] = set()  # those that this process is writing


def _is_stale(leftover: Path) -> bool:
    written_at, _, rest = leftover.name.removeprefix(TEMPORARY_PREFIX).partition('-')
    process = rest.partition('-')[0]
    if written_at == place() and process.isdecimal():
        return int(process) == os.getpid() or not is_alive(int(process))
    try:
        return time.time() - leftover.stat().st_mtime > DAY
    except FileNotFoundError:  # its process has put it in place
        return False


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    if os.name == 'nt':  # where a folder can't be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
