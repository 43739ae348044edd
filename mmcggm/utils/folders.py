"""Folders that results are written to."""

import os
from pathlib import Path

from .atomic import temporary_path


def make_writable(folder: str | Path, key: str) -> Path:
    """Make a folder, if there is none, and see that files can be written to it, before there is any work.

    Args:
        folder: Its path; parents are made as well.
        key: What names it, a flag or a key of the config, for errors.

    Raises:
        OSError: If it can't be made or nothing can be written to it; it says why in a sentence.
    """
    path = Path(folder)
    probe = temporary_path(path / 'probe', os.getpid())
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b'')
        probe.unlink(missing_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        blocking = next(part for part in (path, *path.parents) if part.exists())
        raise NotADirectoryError(
            f"{key} is '{path}', but '{blocking}' is a file: name a folder, or remove the file."
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{key} is '{path}', which can not be written to: {reason}. Name another.") from error
    return path
