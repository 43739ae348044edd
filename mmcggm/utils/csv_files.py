"""Tables as files."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from .atomic import replacing

FORMULA = (
    '=',
    '+',
    '-',
    '@',
    '\t',
    '\r',
    '\n',
    '＝',
    '＋',
    '－',
    '＠',
)  # what spreadsheets take for one's start


def write_csv(path: str | Path, rows: Sequence[dict]) -> None:
    """Write ``rows``, dicts with the same keys, under a header; the file is complete or absent."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open('w', encoding='utf-8', newline='') as file:
        write_rows(file, rows)


def write_rows(file: TextIO, rows: Sequence[Mapping[str, object]]) -> None:
    """Write ``rows``, with the same keys, under a header.

    Text that a spreadsheet would compute is preceded by an apostrophe, as OWASP advises against CSV
    injection; numbers, also several between spaces, are written as they are.
    """
    names = list(rows[0])
    writer = csv.writer(file, lineterminator='\n')
    for cells in (names, *([row[name] for name in names] for row in rows)):
        writer.writerow([plain_cell(cell) for cell in cells])


def plain_cell(cell: object) -> object:
    """Return what is written for a cell."""
    if not isinstance(cell, str):
        return cell
    escaped = f"'{cell}" if cell.startswith(FORMULA) and not _numbers(cell) else cell
    return escaped.replace('\r', ' ')  # the only end of a line that the writer doesn't put in quotes


def _numbers(text: str) -> bool:
    try:
        return bool([float(part) for part in text.split()])
    except ValueError:
        return False
