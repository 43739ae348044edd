"""What a file is, told by how it begins, where its name says something else."""

from __future__ import annotations

import os

KINDS = {  # by the first bytes
    b'PK\x03\x04': 'a zip archive, as .npz files and those of `torch.save` are',
    b'\x1f\x8b': 'compressed by gzip',
    b'BZh': 'compressed by bzip2',
    b'\xfd7zXZ': 'compressed by xz',
    b'\x89HDF\r\n\x1a\n': 'an HDF5 file',
    b'\x93NUMPY': 'a .npy file',
    b'PAR1': 'a Parquet file',
    b'MATLAB ': 'a file of MATLAB',
}
WEB_PAGE = (b'<!doctype', b'<html', b'<?xml')
GIT_LFS = b'version https://git-lfs'


def no_content(path: str | os.PathLike[str]) -> str | None:
    """Return what a file is that stands for another, such as a web page; None if it may be the file itself.

    Returns:
        What goes on after the file's name: ``'is empty …'``, with what to do.
    """
    head = _head(path).lstrip()
    if not head:
        return 'is empty. Copy or download it again.'
    if head.lower().startswith(WEB_PAGE):
        return 'is a web page: what it was downloaded from is no link to the file itself.'
    if head.startswith(GIT_LFS):
        return 'stands for a file in Git LFS: get the file itself by `git lfs pull`.'
    return None


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """Return what kind of file ``path`` is, ``'a .npy file'``; None if it begins like none that is known."""
    head = _head(path)
    return next((kind for start, kind in KINDS.items() if head.startswith(start)), None)


def _head(path: str | os.PathLike[str]) -> bytes:
    with open(path, 'rb') as file:
        return file.read(64)
