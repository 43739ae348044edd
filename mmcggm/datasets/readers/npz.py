"""Files of arrays that a converter wrote."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def read_arrays(path: Path, names: Sequence[str], converter: str) -> dict[str, np.ndarray]:
    """Read arrays of an ``.npz`` file; none of them holds Python objects, so no code of the file runs.

    Args:
        path: The file.
        names: Of the arrays.
        converter: The tool that writes such files, for the error.

    Raises:
        ValueError: If the file is of another kind or lacks one of the arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path} is not what {converter} writes ({error}): run it again.') from error
