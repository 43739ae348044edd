"""Tables as files."""

import csv
from collections.abc import Sequence
from pathlib import Path

from .atomic import replacing


def write_csv(path: str | Path, rows: Sequence[dict]) -> None:
    """Write ``rows``, dicts with the same keys, under a header; the file is complete or absent."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open('w', encoding='utf-8', newline='') as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
