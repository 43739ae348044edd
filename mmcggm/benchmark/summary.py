"""What the results of a benchmark say: mean, deviation, and what sets a method apart from the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy import stats

from .grid import Benchmark, Run
from .results import read_result


@dataclass(frozen=True)
class Comparison:
    """What sets a method apart from another.

    Attributes:
        difference: Mean difference over the seeds that both have; NaN without any, and to itself.
        p_value: Two-sided, of a paired t-test over these seeds; NaN for fewer than two, and where a value is
            not finite.
        p_holm: The same, corrected for the number of methods that are compared with that one in this setting
            and metric.
    """

    difference: float = math.nan
    p_value: float = math.nan
    p_holm: float = math.nan


@dataclass(frozen=True)
class Row:
    """One metric of one method in one setting.

    Attributes:
        setting: Name of the setting.
        method: Name of the method.
        metric: Name of the metric.
        seeds: The seeds whose runs are finished.
        values: Of these runs.
        mean: Of the values.
        std: Of the values, with n - 1 in the denominator; NaN for one.
        against: The comparison with the baseline, and with each further reference, by its name.
    """

    setting: str
    method: str
    metric: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    std: float
    against: Mapping[str, Comparison] = field(default_factory=dict)


def summarise(
    benchmark: Benchmark,
    runs: Sequence[Run],
    work_dir: Path,
    ensembles: Mapping[tuple[str, str], Mapping[int, float]] | None = None,
) -> list[Row]:
    """Return a row for each setting, method and metric with a finished run among ``runs``.

    Args:
        benchmark: What ``runs`` are of.
        runs: Its runs.
        work_dir: Where their folders are.
        ensembles: Accuracy of the ensembles, see :func:`~mmcggm.benchmark.ensemble.ensemble_accuracies`.

    Raises:
        ValueError: If a result lacks a metric; it names those that there are.
    """
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    for run in runs:
        result = read_result(work_dir / run.folder, run.fingerprint)
        if result is None:
            continue
        reached = dict(result['metrics'])
        if 'validation' in result:
            reached['validation'] = result['validation']['value']
        if 'limited_share' in result:
            reached['limited_share'] = result['limited_share']
        for metric in benchmark.metrics:
            if metric not in reached:
                raise ValueError(f"`metrics` names '{metric}', but {run} has {sorted(reached)}.")
            found.setdefault((run.setting, run.method, metric), {})[run.seed] = reached[metric]
    for (setting, name), accuracies in (ensembles or {}).items():
        found[setting, name, 'accuracy'] = dict(accuracies)
    references = (benchmark.baseline, *benchmark.references)
    rows = [
        _row(setting, method, metric, found, references)
        for setting in benchmark.settings
        for method in (*benchmark.methods, *benchmark.ensembles)
        for metric in benchmark.metrics
        if (setting, method, metric) in found
    ]
    return [_corrected(row, rows) for row in rows]


def _row(
    setting: str,
    method: str,
    metric: str,
    found: Mapping[tuple[str, str, str], Mapping[int, float]],
    references: Sequence[str],
) -> Row:
    values = found[setting, method, metric]
    own = np.array(list(values.values()))
    against = {}
    for reference in references:
        others = {} if method == reference else found.get((setting, reference, metric), {})
        differences = np.array([value - others[seed] for seed, value in values.items() if seed in others])
        mean = float(differences.mean()) if len(differences) else math.nan
        against[reference] = Comparison(mean, paired_p_value(differences))
    return Row(
        setting=setting,
        method=method,
        metric=metric,
        seeds=tuple(values),
        values=tuple(own.tolist()),
        mean=float(own.mean()),
        std=float(own.std(ddof=1)) if len(own) > 1 else math.nan,
        against=against,
    )


def _corrected(row: Row, rows: Sequence[Row]) -> Row:
    """Return a row with p values that are corrected for the methods of its setting and metric."""
    against = {}
    for reference, comparison in row.against.items():
        family = [
            p
            for other in rows
            if (other.setting, other.metric) == (row.setting, row.metric)
            and not math.isnan(p := other.against[reference].p_value)
        ]
        corrected = dict(zip(family, holm(family), strict=True))
        against[reference] = replace(comparison, p_holm=corrected.get(comparison.p_value, math.nan))
    return replace(row, against=against)


def paired_p_value(differences: np.ndarray) -> float:
    """Return the p value of the hypothesis that the differences have mean zero.

    It is that of Student's t-test, two-sided; NaN for fewer than two differences, or one that isn't finite.
    """
    if len(differences) < 2 or not np.isfinite(differences).all():
        return math.nan
    if np.ptp(differences) == 0:  # where the t-test divides by zero
        return 1.0 if differences[0] == 0 else 0.0
    # t is the same at any scale, and at this one neither sums nor squares overflow or vanish.
    scaled = differences / np.abs(differences).max()
    t = scaled.mean() / scaled.std(ddof=1) * math.sqrt(len(scaled))
    return float(2 * stats.t.sf(abs(t), len(scaled) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values that are corrected for their number (Holm, Scandinavian J. of Statistics 6, 1979)."""
    order = np.argsort(p_values)
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected.tolist()
