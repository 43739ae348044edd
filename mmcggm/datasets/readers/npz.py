"""Files of arrays: numpy's ``.npy`` and ``.npz``, read without running code and without trusting a header."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np


def read_npz(path: Path, names: Sequence[str], converter: str) -> dict[str, np.ndarray]:
    """Read arrays of an ``.npz`` file that a converter of ours wrote, and check its checksums.

    Args:
        path: The file.
        names: Of the arrays.
        converter: The command that writes such files, for the error.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, damaged, or lacks one of the arrays.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return {name: parse_npy(_member(file, f'{name}.npy')) for name in names}
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # zipfile and numpy raise whatever the broken bytes lead to
        raise ValueError(f'{path} is not what `{converter}` writes ({error}): run it again.') from error


def read_npy(path: Path) -> np.ndarray:
    """Read an ``.npy`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else than a plain array, Python objects above all.
    """
    try:
        return parse_npy(path.read_bytes())
    except OSError:
        raise
    except Exception as error:  # numpy raises whatever the broken bytes lead to
        raise ValueError(f'{path} cannot be read as a plain array: {error}.') from error


def parse_npy(content: bytes) -> np.ndarray:
    """Return the array that the bytes of an ``.npy`` file stand for, in memory of its own.

    Raises:
        ValueError: If they hold Python objects, or not as many bytes as the header says.
        Exception: Others, if the header is no header.
    """
    file = io.BytesIO(content)
    shape, fortran, dtype = header_of_npy(file)
    if dtype.kind not in 'biufcSU':
        raise ValueError(f'it holds {dtype}, and neither numbers nor text')
    start, size = file.tell(), math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or len(content) - start != size or not dtype.itemsize:
        raise ValueError(f'{len(content) - start} bytes are there for shape {shape} of {dtype}')
    return np.ndarray(shape, dtype, bytearray(content), start, order='F' if fortran else 'C')


def header_of_npy(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of an ``.npy`` file: shape, whether the order is Fortran's, and type.

    Raises:
        Exception: Any, if the header is no header.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f'its version is {version}')
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    return read_header(file)


def _member(file: zipfile.ZipFile, name: str) -> bytes:
    if name not in file.namelist():
        raise ValueError(f"it lacks '{name}'")
    info = file.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:  # a few bytes may unpack to more than any memory holds
        raise ValueError(f"'{name}' is compressed")
    return file.read(info)  # to its end, where its checksum is compared
