"""Checkpoints as files: written whole or not at all, and the newest whole one found again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mmengine.fileio import LocalBackend, get_file_backend

from mmcggm.utils.atomic import replacing
from mmcggm.utils.checkpoints import CheckpointError, check_archive, checkpoints_are_trusted, read_checkpoint

from .training_state import check_training_state

LAST = 'last_checkpoint'  # the file in a work_dir that names the checkpoint that was written last


class NewestCheckpoint(NamedTuple):
    """The newest whole checkpoint of a training, and a sentence on each that was passed over."""

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

    All ``*.pth`` there are considered, the ones with the weights of the best score alone (``best_*.pth``)
    aside; where there are none, those in the folder that its ``last_checkpoint`` names. Whole means that the
    archive's checksums are right and nothing that a training needs is missing. The newest is the one that
    was saved last, as it says itself, whatever the names and the files' times are: a longer training that
    used the folder before is not gone on with.
    """
    found: list[tuple[str, int, Path]] = []
    passed_over: list[str] = []
    for path in _candidates(Path(work_dir)):
        try:
            found.append((*_saved(path), path))
        except CheckpointError as error:
            passed_over.append(str(error))
    for _, _, path in sorted(found, reverse=True):
        try:
            check_archive(path)
        except CheckpointError as error:
            passed_over.append(str(error))
        else:
            return NewestCheckpoint(path, passed_over)
    return NewestCheckpoint(None, passed_over)


def _candidates(work_dir: Path) -> list[Path]:
    found = _trainings(work_dir)
    named = work_dir / LAST
    if not found and named.is_file():  # its checkpoints have an `out_dir` of their own
        found = _trainings(Path(named.read_text(encoding='utf-8').strip()).parent)
    return found


def _trainings(folder: Path) -> list[Path]:
    paths = (path for path in folder.glob('*.pth') if path.is_file())
    return sorted(path for path in paths if not path.name.startswith(('best_', '.')))


def _saved(path: Path) -> tuple[str, int]:
    """Return when a checkpoint was saved, and the iterations that it has behind it.

    Raises:
        CheckpointError: If it can't be read, or nothing can be resumed from it.
    """
    checkpoint = read_checkpoint(path, trust=checkpoints_are_trusted(), lazily=True)
    check_training_state(checkpoint, str(path))
    return str(checkpoint['meta'].get('time', '')), checkpoint['meta']['iter']
