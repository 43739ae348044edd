"""The table of a cross-validation: Markdown, CSV and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmcggm.utils.atomic import replacing
from mmcggm.utils.counted import counted
from mmcggm.utils.csv_files import write_csv

from .scores import Row

DIGITS = dict(Dice=4, HD95=2)  # as of BraTSMetric


def to_markdown(rows: Sequence[Row]) -> str:
    """Return a table with a line a fold, and one of all cases if there are rows of them."""
    folds: dict[str, list[Row]] = {}
    for row in rows:
        folds.setdefault(row.fold, []).append(row)
    names = [row.metric.replace('_', ' ') for row in next(iter(folds.values()))]
    lines = [['fold', 'cases', *names], ['---', *['---:'] * (len(names) + 1)]]
    for fold, of_fold in folds.items():
        count = max(row.cases for row in of_fold)
        lines.append([fold, str(count), *(_cell(row, count) for row in of_fold)])
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def write_tables(rows: Sequence[Row], scores: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write ``table.md``, ``table.csv`` and ``table.json``, and ``cases.csv`` with a row a case."""
    cells = [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in map(asdict, rows)
    ]
    texts = {
        'table.md': to_markdown(rows),
        'table.json': json.dumps(cells, indent=2, ensure_ascii=False) + '\n',
    }
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding='utf-8')
    write_csv(folder / 'table.csv', [asdict(row) for row in rows])
    write_csv(folder / 'cases.csv', [dict(row) for row in scores])


def _cell(row: Row, count: int) -> str:
    """Return mean ± standard deviation, and of how many cases where it is not of all."""
    digits = DIGITS.get(row.metric.partition('_')[0], 4)
    if math.isnan(row.mean):
        return '–'
    text = f'{row.mean:.{digits}f}' + ('' if math.isnan(row.std) else f' ± {row.std:.{digits}f}')
    return text if row.cases == count else f'{text} ({counted(row.cases, "case")})'
