"""Results as a table: mean ± standard deviation, and what sets a method apart from the baseline."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from mmcggm.utils.atomic import replacing

from .cost import Cost
from .grid import Benchmark, Run
from .results import read_result


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
        difference: Mean difference to the baseline over the seeds that both have; NaN without any, and
            for the baseline itself.
        p_value: Two-sided, of a paired t-test over these seeds; NaN for fewer than two.
        p_holm: The same, corrected for the number of methods that are compared in this setting and metric.
    """

    setting: str
    method: str
    metric: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    std: float
    difference: float
    p_value: float
    p_holm: float = math.nan


def summarise(benchmark: Benchmark, runs: Sequence[Run], work_dir: Path) -> list[Row]:
    """Return a row for each setting, method and metric with a finished run among ``runs``.

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
        for metric in benchmark.metrics:
            if metric not in reached:
                raise ValueError(f"`metrics` names '{metric}', but {run} has {sorted(reached)}.")
            found.setdefault((run.setting, run.method, metric), {})[run.seed] = reached[metric]
    rows = [
        _row(setting, method, metric, found[setting, method, metric], baseline)
        for setting in benchmark.settings
        for method in benchmark.methods
        for metric in benchmark.metrics
        if (setting, method, metric) in found
        for baseline in [
            {} if method == benchmark.baseline else found.get((setting, benchmark.baseline, metric), {})
        ]
    ]
    families: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if not math.isnan(row.p_value):
            families.setdefault((row.setting, row.metric), []).append(row.p_value)
    corrected = {family: dict(zip(ps, holm(ps), strict=True)) for family, ps in families.items()}
    return [
        replace(row, p_holm=corrected.get((row.setting, row.metric), {}).get(row.p_value, math.nan))
        for row in rows
    ]


def _row(setting: str, method: str, metric: str, values: dict[int, float], baseline: dict[int, float]) -> Row:
    own = np.array(list(values.values()))
    differences = np.array([value - baseline[seed] for seed, value in values.items() if seed in baseline])
    return Row(
        setting=setting,
        method=method,
        metric=metric,
        seeds=tuple(values),
        values=tuple(own.tolist()),
        mean=float(own.mean()),
        std=float(own.std(ddof=1)) if len(own) > 1 else math.nan,
        difference=float(differences.mean()) if len(differences) else math.nan,
        p_value=paired_p_value(differences),
    )


def paired_p_value(differences: np.ndarray) -> float:
    """Return the p value of the hypothesis that the differences have mean zero."""
    if len(differences) < 2:
        return math.nan
    if np.ptp(differences) == 0:  # where the t-test divides by zero
        return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values that are corrected for their number (Holm, Scandinavian J. of Statistics 6, 1979)."""
    order = np.argsort(p_values)
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected.tolist()


def to_markdown(rows: Sequence[Row], metrics: Sequence[str], costs: Mapping[str, Cost] | None = None) -> str:
    """Return a table with a line a setting and method; difference and p are of the first metric.

    Args:
        rows: Of :func:`summarise`.
        metrics: In the order of the columns.
        costs: By method, for three columns more.
    """
    about_costs = ['step time', 'memory', 'steps'] if costs else []
    lines = [
        ['setting', 'method', *metrics, f'Δ {metrics[0]}', 'p', 'p (Holm)', 'seeds', *about_costs],
        ['---'] * (len(metrics) + 6 + len(about_costs)),
    ]
    for (setting, method), by_metric in _by_method(rows).items():
        first = by_metric[metrics[0]]
        cells = [_mean_and_std(by_metric[metric]) for metric in metrics]
        cost = (costs or {}).get(method)
        lines.append(
            [
                setting,
                method,
                *cells,
                '–' if math.isnan(first.difference) else f'{first.difference:+.3f}',
                _p_value(first.p_value),
                _p_value(first.p_holm),
                str(len(first.seeds)),
                *(f'{part:.2f}' if cost else '–' for part in (cost or about_costs)),
            ]
        )
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def _by_method(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, Row]]:
    """Return rows by setting and method, and then by metric."""
    groups: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        groups.setdefault((row.setting, row.method), {})[row.metric] = row
    return groups


def to_csv(rows: Sequence[Row]) -> str:
    """Return a line a row; seeds and values stand in one cell each, separated by spaces."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(Row.__dataclass_fields__), lineterminator='\n')
    writer.writeheader()
    for row in rows:
        cells = asdict(row)
        writer.writerow({**cells, **{k: ' '.join(map(str, cells[k])) for k in ('seeds', 'values')}})
    return buffer.getvalue()


def to_json(rows: Sequence[Row]) -> str:
    """Return a list of objects; what is not a number is null."""
    cells = [
        {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(row).items()}
        for row in rows
    ]
    return json.dumps(cells, indent=2, ensure_ascii=False) + '\n'


def write_tables(
    rows: Sequence[Row],
    metrics: Sequence[str],
    folder: Path,
    costs: Mapping[str, Cost] | None = None,
) -> None:
    """Write ``table.md``, ``table.csv`` and ``table.json``, and with costs ``costs.json``."""
    texts = {
        'table.md': to_markdown(rows, metrics, costs),
        'table.csv': to_csv(rows),
        'table.json': to_json(rows),
    }
    if costs:
        cells = [dict(method=method, **cost._asdict()) for method, cost in costs.items()]
        texts['costs.json'] = json.dumps(cells, indent=2, ensure_ascii=False) + '\n'
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding='utf-8')


def _mean_and_std(row: Row) -> str:
    return f'{row.mean:.3f}' if math.isnan(row.std) else f'{row.mean:.3f} ± {row.std:.3f}'


def _p_value(value: float) -> str:
    if math.isnan(value):
        return '–'
    return '< 0.001' if value < 0.001 else f'{value:.3f}'
