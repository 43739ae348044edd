"""The figures of held-out cases: of each fold, and of all."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmcggm.datasets.brats.patients import Patients
from mmcggm.utils.csv_files import plain_cell

from .fold_config import CASES
from .fold_run import FoldRun

ALL = 'all'
KEYS = ('case', 'patient', 'fold')  # of a case's row, before its figures


@dataclass(frozen=True)
class Row:
    """A figure of a fold, or of all cases.

    Attributes:
        fold: Number of the fold, or ``'all'``.
        metric: Such as ``'Dice_WT'``; ``'Dice_mean'`` is the mean over the regions' means.
        cases: Number of cases in which it is defined.
        mean: Over these.
        std: Standard deviation (n − 1) over these; NaN of fewer than two, and of a mean over regions.
    """

    fold: str
    metric: str
    cases: int
    mean: float
    std: float


def read_scores(runs: Sequence[FoldRun], work_dir: Path, patients: Patients) -> list[dict[str, Any]]:
    """Return for each held-out case of finished folds ``case``, ``patient``, ``fold``, and its figures.

    Raises:
        ValueError: If a fold's file doesn't hold the fold's cases.
    """
    rows = []
    for run in runs:
        path = work_dir / run.folder / CASES
        with path.open(encoding='utf-8', newline='') as file:
            found = {row.pop('case'): row for row in csv.DictReader(file)}
        cases = {str(plain_cell(case)): case for case in run.splits['test']}
        try:
            if found.keys() != cases.keys():
                raise ValueError('it has other cases than the fold')
            for cell, case in cases.items():
                figures = {metric: float(value) for metric, value in found[cell].items()}
                rows.append(dict(case=case, patient=patients.of(case), fold=run.number, **figures))
        except (TypeError, ValueError) as error:
            raise ValueError(f'{path}: {error}. Delete it, and the fold predicts again.') from error
    return rows


def summarise(scores: Sequence[Mapping[str, Any]], complete: bool) -> list[Row]:
    """Return the rows of the table.

    Args:
        scores: Of :func:`read_scores`.
        complete: Whether all folds are among them: only then there are rows of all cases.
    """
    folds = sorted({row['fold'] for row in scores})
    rows = [line for fold in folds for line in _rows(str(fold), [r for r in scores if r['fold'] == fold])]
    return rows + (_rows(ALL, scores) if complete else [])


def _rows(fold: str, scores: Sequence[Mapping[str, Any]]) -> list[Row]:
    rows = []
    metrics = [key for key in scores[0] if key not in KEYS]
    for kind in dict.fromkeys(metric.partition('_')[0] for metric in metrics):
        of_regions = []
        for metric in metrics:
            if metric.partition('_')[0] == kind:
                values = np.array([row[metric] for row in scores], dtype=float)
                of_regions.append(_row(fold, metric, values[~np.isnan(values)]))
        defined = [row.mean for row in of_regions if row.cases]
        mean = float(np.mean(defined)) if defined else math.nan
        rows += [*of_regions, Row(fold, f'{kind}_mean', len(scores), mean, math.nan)]
    return rows


def _row(fold: str, metric: str, values: np.ndarray) -> Row:
    mean = float(values.mean()) if values.size else math.nan
    return Row(fold, metric, values.size, mean, float(values.std(ddof=1)) if values.size > 1 else math.nan)
