"""What an error says to whoever misspelt a name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return :func:`one_of` the names in ``known`` that are closest to ``name``."""
    return one_of(get_close_matches(name, known, n=3, cutoff=0.4))


def one_of(names: Iterable[str]) -> str:
    """Return ``" Did you mean 'a' or 'b'?"`` for ``names``, ``''`` if there are none."""
    names = [repr(name) for name in names]
    return f' Did you mean {" or ".join(names)}?' if names else ''
