"""Tables of text: what parts their cells, how they write decimals, whether they have a header."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path
from typing import Any

from mmcggm.utils import import_optional

SEPARATORS = (',', ';', '\t')
DECIMAL_COMMA = re.compile(r'\s*[-+]?\d*(,\d+)?(e[-+]?\d+)?\s*', re.IGNORECASE)  # or a whole number
LOOKED_AT = 1 << 16  # characters that tell how decimals are written


class HeaderError(ValueError):
    """It can't be told whether a table has a header."""


def read_text_table(path: Path, header: bool | None = None, names: str = '') -> Any:
    """Return the pandas frame of a table whose cells are parted by commas, semicolons, tabs or spaces.

    Spreadsheets of many languages part cells by semicolons, since they write decimals with commas.

    Args:
        path: The file; one that ends in .gz is unpacked.
        header: Whether the first row is a header; by default that is told from what it holds.
        names: The column of the rows' names, which may have none: text, even where it looks like numbers.

    Raises:
        HeaderError: If the file is empty, or it can't be told whether it has a header.
        UnicodeDecodeError: If it isn't UTF-8.
        Exception: Whatever pandas raises over broken bytes.
    """
    with (gzip.open if path.suffix == '.gz' else open)(path, 'rt', newline='', encoding='utf-8-sig') as file:
        beginning = file.read(LOOKED_AT)
    line = beginning.lstrip('\r\n').partition('\n')[0].rstrip('\r')
    separator = _separator(line, '\t' if '.tsv' in path.suffixes else ',')
    numbers = filter(DECIMAL_COMMA.fullmatch, re.split(rf'{separator}|["\r\n]', beginning))
    has_comma = separator != ',' and any(',' in cell for cell in numbers)
    cells = line.split() if separator == r'\s+' else _cells(line, separator)
    has_header = _has_header(path, cells, has_comma) if header is None else header
    of_names = [place for place, cell in enumerate(cells) if has_header and cell == names][:1]
    frame = import_optional('pandas', 'data').read_csv(
        path,
        sep=separator,
        decimal=',' if has_comma else '.',
        header=0 if has_header else None,
        encoding='utf-8-sig',
        skipinitialspace=True,
        low_memory=False,
        dtype=dict.fromkeys(of_names, str),
        # An empty cell is missing; "NA" or "None" may be a class's name.
        keep_default_na=False,
        na_values=['', 'nan', 'NaN', 'NAN'],
    )
    if has_header and len(cells) > 1 and cells[-1] == '' and frame.iloc[:, -1].isna().all():
        frame = frame.iloc[:, :-1]  # each row ends with a separator
    return frame


def _separator(line: str, usual: str) -> str:
    """Return what parts the cells of a row: what gives the most of them."""
    rows = {separator: _cells(line, separator) for separator in SEPARATORS}
    for separator in SEPARATORS[1:]:
        if len(rows[separator]) > 1 and all(map(DECIMAL_COMMA.fullmatch, rows[separator])):
            return separator  # of numbers that are written with commas themselves
    separator = max(SEPARATORS, key=lambda one: (len(rows[one]), one == usual))
    words = line.split()
    if len(rows[separator]) == 1 and len(words) > 1 and None not in map(number, words):
        return r'\s+'  # what np.savetxt writes
    return separator


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _has_header(path: Path, first: list[str], has_comma: bool) -> bool:
    if not first:
        raise HeaderError(f'{path} is empty.')
    numbers = [number(cell.replace(',', '.') if has_comma else cell) for cell in first]
    if None in numbers[1:] or (numbers[0] is None and first[0] != ''):
        return True
    if first[0] == '':  # pandas leaves out the name of the index, and may have counted the columns
        return True
    if len(numbers) > 1 and numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1))):
        raise HeaderError(
            f'{path}: the first row counts from {numbers[0]:g} to {numbers[-1]:g}: it may be names of '
            "columns or data. Say which: dict(file='…', header=True) or header=False."
        )
    return False


def number(cell: str) -> float | None:
    """Return the number that a cell holds, None if it holds none."""
    try:
        return float(cell)
    except ValueError:
        return None
