"""Files that are either complete or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_PREFIX = '.tmp-'


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place once the block succeeds.

    After an error nothing of the temporary file stays, and an older ``path`` is untouched. The
    temporary name keeps the suffixes of ``path``, so that writers that go by them still work.
    """
    path = Path(path)
    temporary = path.with_name(f'{TEMPORARY_PREFIX}{os.getpid()}-{path.name}')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_stale(folder: Path) -> None:
    """Delete the temporary files that a killed process left in ``folder``."""
    for leftover in folder.glob(f'{TEMPORARY_PREFIX}*'):
        leftover.unlink(missing_ok=True)
