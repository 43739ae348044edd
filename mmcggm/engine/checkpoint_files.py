"""Checkpoints as files: written whole or not at all, and the newest whole one found again."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mmengine.fileio import LocalBackend, get_file_backend

from mmcggm.utils.atomic import replacing
from mmcggm.utils.checkpoints import peek

LAST = 'last_checkpoint'  # the file in a work_dir that names the checkpoint that was written last
NEEDED = ('meta', 'state_dict', 'message_hub', 'optimizer')  # to go on with a training


class NewestCheckpoint(NamedTuple):
    """The newest whole checkpoint of a training, and those that were passed over with the reason."""

    path: Path | None
    passed_over: list[str]


@contextmanager
def writing_checkpoint(path: str | Path) -> Iterator[Path]:
    """Yield where to write what becomes the checkpoint ``path`` once it is complete.

    Raises:
        OSError: If it can't be written; it says that the checkpoints from before are untouched.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise OSError(
            f"The checkpoint '{path}' could not be written: {error.strerror or error}. Those that were saved "
            'before it are as they were; `--resume` goes on from the newest.'
        ) from error


def is_local(folder: str, backend_args: dict | None = None) -> bool:
    """Whether a folder of checkpoints is on a file system, not in an object store."""
    return isinstance(get_file_backend(folder, backend_args=backend_args), LocalBackend)


def newest_checkpoint(work_dir: str | Path) -> NewestCheckpoint:
    """Find the newest whole checkpoint that a training in ``work_dir`` can go on from.

    All ``*.pth`` there, and in the folder that its ``last_checkpoint`` names, are considered, the ones with
    the weights of the best score alone (``best_*.pth``) aside. Whole means that the archive's check sums are
    right and nothing that training needs is missing.
    """
    found: list[tuple[tuple[int, float], Path]] = []
    broken: list[tuple[float, str]] = []
    for path in _candidates(Path(work_dir)):
        try:
            iteration = _iteration(path)
        except ValueError as error:
            broken.append((path.stat().st_mtime, f"'{path}' ({error})"))
        else:
            found.append(((iteration, path.stat().st_mtime), path))
    passed_over = [reason for _, reason in sorted(broken, reverse=True)]
    for _, path in sorted(found, reverse=True):
        damage = _damage(path)
        if damage is None:
            return NewestCheckpoint(path, passed_over)
        passed_over.append(f"'{path}' ({damage})")
    return NewestCheckpoint(None, passed_over)


def _candidates(work_dir: Path) -> Iterable[Path]:
    folders = {work_dir.resolve()}
    if (work_dir / LAST).is_file():
        folders.add(Path((work_dir / LAST).read_text(encoding='utf-8').strip()).resolve().parent)
    return sorted(
        path
        for folder in folders
        for path in folder.glob('*.pth')
        if not path.name.startswith(('best_', '.')) and path.is_file()
    )


def _iteration(path: Path) -> int:
    """Return the iterations that a checkpoint has behind it.

    Raises:
        ValueError: If it can't be read, or lacks what training needs.
    """
    if path.stat().st_size == 0:
        raise ValueError('it is empty')
    if not zipfile.is_zipfile(path):
        raise ValueError('it is cut short, or no checkpoint')
    checkpoint = peek(path)
    missing = [key for key in NEEDED if key not in checkpoint]
    if missing:
        raise ValueError(f'it lacks {", ".join(missing)}')
    iteration = checkpoint['meta'].get('iter')
    if not isinstance(iteration, int):
        raise ValueError('its meta does not say at which iteration it was saved')
    return iteration


def _damage(path: Path) -> str | None:
    """Return what is wrong with the bytes of an archive, None if nothing is."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile, ValueError, EOFError) as error:
        return f'it is damaged: {error}'
    return None if damaged is None else f"it is damaged: the check sum of its part '{damaged}' is wrong"
