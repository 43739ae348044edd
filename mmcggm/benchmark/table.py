"""A summary as a table: Markdown, CSV and JSON."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mmcggm.utils.atomic import replacing
from mmcggm.utils.csv_files import write_rows

from .cost import Cost
from .summary import Row


def to_markdown(rows: Sequence[Row], metrics: Sequence[str], costs: Mapping[str, Cost] | None = None) -> str:
    """Return a table with a line a setting and method; differences and p are of the first metric.

    The first reference is the baseline, whose columns have no name.

    Args:
        rows: Of :func:`summarise`.
        metrics: In the order of the columns.
        costs: By method, for three columns more.
    """
    about_costs = ['step time', 'memory', 'steps'] if costs else []
    lines = [
        ['setting', 'method', *metrics, f'Δ {metrics[0]}', 'p', 'p (Holm)'],
    ]
    for reference in list(rows[0].against)[1:]:
        lines[0] += [f'Δ to {reference}', f'p to {reference} (Holm)']
    lines[0] += ['seeds', *about_costs]
    lines.append(['---'] * len(lines[0]))
    for (setting, method), by_metric in _by_method(rows).items():
        first = by_metric[metrics[0]]
        cells = [_mean_and_std(by_metric[metric]) if metric in by_metric else '–' for metric in metrics]
        baseline, *others = first.against.values()
        cost = (costs or {}).get(method)
        lines.append(
            [
                setting,
                method,
                *cells,
                _difference(baseline.difference),
                _p_value(baseline.p_value),
                _p_value(baseline.p_holm),
                *(
                    cell
                    for other in others
                    for cell in (_difference(other.difference), _p_value(other.p_holm))
                ),
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
    buffer = io.StringIO(newline='')
    joined = ('seeds', 'values')
    write_rows(
        buffer,
        [{k: ' '.join(map(str, v)) if k in joined else v for k, v in _cells(row).items()} for row in rows],
    )
    return buffer.getvalue()


def to_json(rows: Sequence[Row]) -> str:
    """Return a list of objects; what is not a number is null."""
    cells = [
        {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in _cells(row).items()}
        for row in rows
    ]
    return json.dumps(cells, indent=2, ensure_ascii=False) + '\n'


def read_tables(folder: Path) -> tuple[list[Row], dict[str, Cost]]:
    """Return rows, without their comparisons, and costs by method that :func:`write_tables` wrote.

    Raises:
        FileNotFoundError: If the folder has no ``table.json``; without ``costs.json`` there are no costs.
    """
    path = folder / 'table.json'
    if not path.exists():
        raise FileNotFoundError(f"'{folder}' holds no table.json: is it the folder of a finished benchmark?")
    names = [field.name for field in fields(Row) if field.name != 'against']
    rows = []
    for cells in json.loads(path.read_text(encoding='utf-8')):
        cells = {name: math.nan if cells[name] is None else cells[name] for name in names}
        rows.append(Row(**{**cells, 'seeds': tuple(cells['seeds']), 'values': tuple(cells['values'])}))
    costs = folder / 'costs.json'
    found = json.loads(costs.read_text(encoding='utf-8')) if costs.exists() else []
    return rows, {cells.pop('method'): Cost(**cells) for cells in found}


def _cells(row: Row) -> dict[str, Any]:
    """Return what a row holds by name; comparisons with others than the baseline name them."""
    cells = asdict(row)
    for i, (reference, comparison) in enumerate(cells.pop('against').items()):
        cells |= {f'{name} to {reference}' if i else name: value for name, value in comparison.items()}
    return cells


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


def _difference(value: float) -> str:
    return '–' if math.isnan(value) else f'{value:+.3f}'


def _p_value(value: float) -> str:
    if math.isnan(value):
        return '–'
    return '< 0.001' if value < 0.001 else f'{value:.3f}'
