"""Values that may change over training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


class Schedule:
    """A constant, or a piecewise linear function of the fraction of training that is done.

    Args:
        value: A number, or points ``[(fraction, value), ...]`` with increasing fractions in [0, 1].
            Before the first and after the last point the value stays.
        name: What the value is, for errors.

    Raises:
        ValueError: If ``value`` is neither.

    Example:
        >>> warm_up = Schedule([(0, 0.0), (0.1, 0.2)])
        >>> warm_up(0.05)
        0.1
    """

    def __init__(self, value: float | Sequence[tuple[float, float]], name: str = 'value') -> None:
        self.points = [(0.0, float(value))] if isinstance(value, (int, float)) else self._points(value, name)

    @staticmethod
    def _points(value: Sequence[tuple[float, float]], name: str) -> list[tuple[float, float]]:
        try:
            points = [(float(fraction), float(target)) for fraction, target in value]
        except (TypeError, ValueError):
            points = []
        fractions = [fraction for fraction, _ in points]
        if not points or fractions != sorted(set(fractions)) or not 0 <= fractions[0] <= fractions[-1] <= 1:
            raise ValueError(
                f'`{name}` must be a number or points [(fraction of training, value), ...] with increasing '
                f'fractions in [0, 1], got {value!r}.'
            )
        return points

    def __call__(self, fraction: float) -> float:
        """Return the value when ``fraction`` of training is done."""
        for (begin, first), (end, last) in pairwise(self.points):
            if fraction < end:
                return first + (last - first) * max(0.0, fraction - begin) / (end - begin)
        return self.points[-1][1]

    @property
    def values(self) -> list[float]:
        """The values at the points."""
        return [value for _, value in self.points]
