"""Tables of numbers and names: text and Parquet."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any

import numpy as np

from mmcggm.utils import import_optional
from mmcggm.utils.spelling import did_you_mean

from .text_tables import HeaderError, number, read_text_table

SUFFIXES = ('.csv', '.tsv', '.txt', '.csv.gz', '.tsv.gz', '.txt.gz', '.parquet')
POSITIONS = re.compile(r'-?\d+|(-?\d*):(-?\d*)')
EXTRA = 'data'


class Table:
    """A table whose columns are picked by name or place.

    A first row that holds anything but numbers is the header. A first column without a name, which pandas
    writes, has the names of the rows. How text is parted, see :func:`read_text_table`.

    Args:
        path: The file.
        header: Whether the first row is a header; by default that is told from what it holds.
        names: The column that has the names of the rows. It is then none of those that are picked.

    Attributes:
        names: Of the rows, text ``(N,)``; None if they have none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it can't be read as a table, or it can't be told whether it has a header.
    """

    def __init__(self, path: Path, header: bool | None = None, names: str = '') -> None:
        self.path = path
        pandas = import_optional('pandas', EXTRA)
        is_text = path.suffix != '.parquet'
        try:
            if is_text:
                frame = read_text_table(path, header, names)
            else:
                import_optional('pyarrow', 'parquet')
                frame = pandas.read_parquet(path, engine='pyarrow')
        except (OSError, ImportError, MemoryError, HeaderError):
            raise
        except UnicodeDecodeError as error:
            raise ValueError(
                f'{path} is no text in UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8, which '
                'spreadsheets offer as "CSV UTF-8".'
            ) from error
        except Exception as error:  # the parsers raise whatever the broken bytes lead to
            raise ValueError(f'{path} cannot be read as a table ({error}).') from error
        if frame.index.nlevels > 1 and is_text:
            raise ValueError(f'{path} has rows with {frame.index.nlevels} cells more than the header names.')
        frame.columns = [str(column) for column in frame.columns]
        self.names: np.ndarray | None = None
        if names:
            if names not in frame.columns:
                raise self._lacks(names, list(frame.columns))
            self.names = frame.pop(names).astype(str).to_numpy(dtype=str)
        elif is_text and len(frame.columns) and frame.columns[0].startswith('Unnamed: 0'):
            self.names = frame.iloc[:, 0].astype(str).to_numpy(dtype=str)
            frame = frame.iloc[:, 1:]
        elif not _is_count(frame.index):  # that of Parquet, or cells for which the header has no name
            self.names = frame.index.astype(str).to_numpy(dtype=str)
        self._frame = frame

    def pick(self, key: str) -> np.ndarray:
        """Return columns: ``(N,)`` for one, ``(N, C)`` for more, of numbers or of text.

        Args:
            key: The name of a column; a pattern of names, such as ``'mfcc_*'``; a place, such as ``'-1'``, or
                a range of places, such as ``'0:100'``; several of these, parted by commas; or nothing, for
                all columns.

        Raises:
            ValueError: If there is no such column, or columns hold text beside numbers; without a key also if
                the first column counts the rows, since it then is no feature.
        """
        places, single = self._picked(key)
        picked = self._frame.iloc[:, places]
        if not key and len(places) > 1:
            self._refuse_count(picked.iloc[:, 0])
        values = self._values(picked)
        return values[:, 0] if single else values

    def columns(self, key: str) -> tuple[str, ...]:
        """Return the names of the columns that :meth:`pick` returns."""
        return tuple(self._frame.columns[place] for place in self._picked(key)[0])

    def _picked(self, key: str) -> tuple[list[int], bool]:
        """Return the places of columns, and whether it is one that was asked for alone."""
        columns = list(self._frame.columns)
        if key in columns or not key:
            return [columns.index(key)] if key else list(range(len(columns))), bool(key)
        parts = [part.strip() for part in key.split(',')]
        places = [place for part in parts for place in self._places(part, columns)]
        return places, len(parts) == 1 and len(places) == 1 and ':' not in key and '*' not in key

    def _places(self, part: str, columns: list[str]) -> list[int]:
        if part in columns:
            return [columns.index(part)]
        if POSITIONS.fullmatch(part):
            if ':' in part:
                ends = part.split(':')
                named = [end for end in ends if end in columns and columns.index(end) != int(end)]
                if named:
                    raise ValueError(
                        f"{self.path}: '{part}' is a range of places, but '{named[0]}' is also the name of "
                        f'the column at place {columns.index(named[0])}. For places write '
                        f"dict(file='{self.path.name}', channels='{part}'), for names list them."
                    )
                start, stop = (int(end) if end else None for end in ends)
                found = list(range(len(columns)))[start:stop]
            else:
                found = list(range(len(columns)))[int(part) :][:1]
        else:
            found = [i for i, column in enumerate(columns) if fnmatch.fnmatchcase(column, part)]
        if not found:
            raise self._lacks(part, columns)
        return found

    def _lacks(self, name: str, columns: list[str]) -> ValueError:
        shown = ', '.join(columns[:6]) + (f' and {len(columns) - 6} more' if len(columns) > 6 else '')
        return ValueError(
            f"{self.path} has no column '{name}'.{did_you_mean(name, columns)} It has {len(columns)}: "
            f'{shown}.'
        )

    def _refuse_count(self, first: Any) -> None:
        values = first.to_numpy()
        if (
            values.dtype.kind in 'iu'
            and len(values) > 2
            and any(np.array_equal(values, np.arange(len(values)) + start) for start in (0, 1))
        ):
            raise ValueError(
                f"{self.path}: the first column, '{first.name}', counts the rows, so it is no feature. If it "
                f"has their names, say names='{first.name}'; or name the columns to read after a colon: "
                f"'{self.path.name}:1:'."
            )

    def _values(self, picked: Any) -> np.ndarray:
        texts = [place for place, dtype in enumerate(picked.dtypes) if dtype.kind not in 'biuf']
        if not texts:
            values = picked.to_numpy()
            if values.dtype == object:  # of columns of several types, or with what pandas calls missing
                values = picked.to_numpy(np.float64, na_value=np.nan)
            return np.ascontiguousarray(values)  # rows are read, columns lie together
        column = picked.iloc[:, texts[0]]
        if picked.shape[1] == 1:
            if column.isna().any():
                raise ValueError(
                    f"{self.path}: column '{picked.columns[0]}' is empty in "
                    f'{_rows(np.flatnonzero(column.isna()))}.'
                )
            if isinstance(column.iloc[0], (np.ndarray, list)):  # of Parquet, an array in each cell
                return picked.map(_plain).to_numpy(dtype=object)
            return picked.astype(str).to_numpy(dtype=str)
        row = next((row for row, cell in enumerate(column) if number(str(cell)) is None), 0)
        cell = column.iloc[row]
        what = (
            f"'{column.name}' with {str(cell)!r}" if isinstance(cell, str) else f"'{column.name}' with arrays"
        )
        raise ValueError(
            f'{self.path}: {len(texts)} of {picked.shape[1]} columns hold text, among them {what} in row '
            f"{row}. Name those to read after a colon: '{self.path.name}:COLUMN', a pattern or a range such "
            "as '0:100'; if that cell is a missing value, leave it empty or set it to a number."
        )


def _plain(cell: Any) -> Any:
    """Return what Parquet has for sequences, an array of arrays, as a list of them."""
    return list(cell) if isinstance(cell, np.ndarray) and cell.dtype == object else cell


def _is_count(index: Any) -> bool:
    return type(index).__name__ == 'RangeIndex'


def _rows(found: np.ndarray) -> str:
    return f'{len(found)} rows: {found[:5].tolist()}{" and more" if len(found) > 5 else ""}'
