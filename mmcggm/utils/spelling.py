"""What an error says to whoever misspelt a name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return :func:`one_of` the names in ``known`` that are closest to ``name``."""
    return one_of(close_to(name, known))


def close_to(name: str, known: Iterable[str], cutoff: float = 0.4) -> list[str]:
    """Return up to three of the names in ``known`` that are closest to ``name``, whatever their case."""
    by_lower: dict[str, list[str]] = {}
    for one in known:
        by_lower.setdefault(one.lower(), []).append(one)
    return [
        one
        for lower in get_close_matches(name.lower(), by_lower, n=3, cutoff=cutoff)
        for one in by_lower[lower]
    ][:3]


def one_of(names: Iterable[str]) -> str:
    """Return ``" Did you mean 'a' or 'b'?"`` for ``names``, ``''`` if there are none."""
    names = [repr(name) for name in names]
    return f' Did you mean {" or ".join(names)}?' if names else ''
