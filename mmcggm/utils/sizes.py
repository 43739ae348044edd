"""What a setting must be to count things, or to be the size of an image."""

from numbers import Integral
from typing import Any


def is_count(value: Any) -> bool:
    """Return whether a value is an integer of at least 1."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1


def is_size(value: Any, axes: int) -> bool:
    """Return whether a value is a list or tuple of an integer of at least 1 for each axis."""
    return isinstance(value, (list, tuple)) and len(value) == axes and all(map(is_count, value))
