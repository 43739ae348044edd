"""The folder that files named by data belong to."""

from __future__ import annotations

import os
from pathlib import Path


class DataRoot:
    """A folder, wherever it really lies, which paths in data files must not lead out of.

    Args:
        root: The folder; it may be a link itself.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = os.path.realpath(root)
        self._folders: dict[str, bool] = {}  # most files share theirs, and to resolve a path takes long

    def holds(self, path: str) -> bool:
        """Whether ``path`` leads to a file below the folder, also through links and ``..``."""
        folder, name = os.path.split(path)
        if name in ('', '.', '..') or '\0' in path or os.path.islink(path):
            return '\0' not in path and self._is_below(path)
        if folder not in self._folders:
            self._folders[folder] = self._is_below(folder)
        return self._folders[folder]

    def _is_below(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._root or real.startswith(os.path.join(self._root, ''))
