"""Which candidates a search tries, and which of them is best."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmcggm.engine.settings import read_by_runner


def candidates(cfg: Config, space: Mapping[str, Sequence[Any]], budget: int) -> list[dict[str, Any]]:
    """Return up to ``budget`` candidates of a config, as overrides: the first is the config as it is.

    The others are drawn without replacement from the product of ``space``, always the same ones.

    Args:
        cfg: The config.
        space: Values to try, by key of the config, nested keys with dots.
        budget: Number of candidates.

    Raises:
        ValueError: If a key has no values, or nothing reads it.
    """
    known = read_by_runner(cfg)
    for key, values in space.items():
        if not isinstance(values, (list, tuple)) or not values:
            raise ValueError(f"The space of '{key}' must be a list of values, got {values!r}.")
        if key.split('.')[0] not in known:
            raise ValueError(f"A `space` names '{key}', but nothing reads such a setting.")
    own = {key: _get(cfg, key) for key in space}
    product = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    others = [found for found in product if found != own]
    random.Random(0).shuffle(others)
    return [{}, *others[: budget - 1]]


def best_candidate(scores: Mapping[int, Sequence[float]], rule: str) -> int:
    """Return the number whose scores have the best mean; of equal ones, the first.

    Args:
        scores: On the validation split, by number of the candidate, one a seed. Only those with the most
            seeds count: the others failed.
        rule: ``'greater'`` or ``'less'``: which is better.
    """
    most = max(len(values) for values in scores.values())
    sign = 1 if rule == 'greater' else -1
    means = {number: sum(values) / most for number, values in scores.items() if len(values) == most}
    return max(sorted(means), key=lambda number: sign * means[number])


def _get(cfg: Config, key: str) -> Any:
    """Return the value at a key with dots, or None."""
    value: Any = cfg
    for part in key.split('.'):
        value = value.get(part) if isinstance(value, (Mapping, Config)) else None
    return value
