"""Tables of numbers and names: CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import fnmatch
import re
from pathlib import Path
from typing import Any

import numpy as np

from mmcggm.utils import import_optional
from mmcggm.utils.spelling import did_you_mean

SUFFIXES = ('.csv', '.tsv', '.parquet')
POSITIONS = re.compile(r'-?\d+|(-?\d*):(-?\d*)')
EXTRA = 'data'


class Table:
    """A table whose columns are picked by name or place.

    A first row that holds anything but numbers is the header. A first column without a name, which pandas
    writes, or of the name ``index_column``, has the names of the rows.

    Args:
        path: The file.
        header: Whether the first row is a header; by default that is told from what it holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it can't be read as a table, or it can't be told whether it has a header.
    """

    def __init__(self, path: Path, header: bool | None = None) -> None:
        self.path = path
        pandas = import_optional('pandas', EXTRA)
        try:
            if path.suffix == '.parquet':
                import_optional('pyarrow', 'parquet')
                frame = pandas.read_parquet(path, engine='pyarrow')
            else:
                separator = '\t' if path.suffix == '.tsv' else ','
                has_header = _has_header(path, separator) if header is None else header
                frame = pandas.read_csv(
                    path,
                    sep=separator,
                    header=0 if has_header else None,
                    encoding='utf-8-sig',
                    low_memory=False,
                    # An empty cell is missing; "NA" or "None" may be a class's name.
                    keep_default_na=False,
                    na_values=['', 'nan', 'NaN', 'NAN'],
                )
        except (OSError, ImportError, MemoryError, HeaderError):
            raise
        except Exception as error:  # the parsers raise whatever the broken bytes lead to
            raise ValueError(f'{path} cannot be read as a table ({error}).') from error
        self.names: np.ndarray | None = None
        first = str(frame.columns[0]) if len(frame.columns) else ''
        if path.suffix != '.parquet' and first.startswith('Unnamed: 0'):
            self.names = frame.iloc[:, 0].astype(str).to_numpy(dtype=str)
            frame = frame.iloc[:, 1:]
        elif path.suffix == '.parquet' and not _is_count(frame.index):
            self.names = frame.index.astype(str).to_numpy(dtype=str)
        frame.columns = [str(column) for column in frame.columns]
        self._frame = frame

    def pick(self, key: str) -> np.ndarray:
        """Return columns: ``(N,)`` for one, ``(N, C)`` for more, of numbers or of text.

        Args:
            key: The name of a column; a pattern of names, such as ``'mfcc_*'``; a place, such as ``'-1'``, or
                a range of places, such as ``'0:100'``; several of these, parted by commas; or nothing, for
                all columns.

        Raises:
            ValueError: If there is no such column, or columns hold text beside numbers.
        """
        columns = list(self._frame.columns)
        if key in columns or not key:
            places = [columns.index(key)] if key else list(range(len(columns)))
            single = bool(key)
        else:
            parts = [part.strip() for part in key.split(',')]
            places = [place for part in parts for place in self._places(part, columns)]
            single = len(parts) == 1 and len(places) == 1 and ':' not in key and '*' not in key
        picked = self._frame.iloc[:, places]
        values = self._values(picked)
        return values[:, 0] if single else values

    def _places(self, part: str, columns: list[str]) -> list[int]:
        if part in columns:
            return [columns.index(part)]
        if POSITIONS.fullmatch(part):
            if ':' in part:
                start, stop = (int(end) if end else None for end in part.split(':'))
                found = list(range(len(columns)))[start:stop]
            else:
                found = list(range(len(columns)))[int(part) :][:1]
        else:
            found = [i for i, column in enumerate(columns) if fnmatch.fnmatchcase(column, part)]
        if not found:
            shown = ', '.join(columns[:6]) + (f' and {len(columns) - 6} more' if len(columns) > 6 else '')
            raise ValueError(
                f"{self.path} has no column '{part}'.{did_you_mean(part, columns)} It has {len(columns)}: "
                f'{shown}.'
            )
        return found

    def _values(self, picked: Any) -> np.ndarray:
        kinds = {dtype.kind for dtype in picked.dtypes}
        if kinds <= set('biuf'):
            return np.ascontiguousarray(picked.to_numpy())  # rows are read, columns lie together
        if picked.shape[1] == 1:
            column = picked.iloc[:, 0]
            if column.isna().any():
                raise ValueError(
                    f"{self.path}: column '{picked.columns[0]}' is empty in "
                    f'{_rows(np.flatnonzero(column.isna()))}.'
                )
            return picked.astype(str).to_numpy(dtype=str)
        text = [
            name
            for name, dtype in zip(picked.columns, picked.dtypes, strict=True)
            if dtype.kind not in 'biuf'
        ]
        raise ValueError(
            f'{self.path}: {len(text)} of {picked.shape[1]} columns hold text, among them '
            f"'{text[0]}' with {picked[text[0]].iloc[0]!r}. Name those to read after a colon: "
            f"'{self.path.name}:COLUMN', a pattern or a range such as '0:100'."
        )


class HeaderError(ValueError):
    """It can't be told whether a table has a header."""


def _has_header(path: Path, separator: str) -> bool:
    with open(path, newline='', encoding='utf-8-sig') as file:
        first = next(csv.reader(file, delimiter=separator), [])
    if not first:
        raise HeaderError(f'{path} is empty.')
    numbers = [_number(cell) for cell in first]
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


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _is_count(index: Any) -> bool:
    return type(index).__name__ == 'RangeIndex'


def _rows(found: np.ndarray) -> str:
    return f'{len(found)} rows: {found[:5].tolist()}{" and more" if len(found) > 5 else ""}'
