"""Segmentations in a folder, drawn beside the references of their store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mmcggm.datasets.brats.label_conventions import get_convention
from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.evaluation.brats.label_files import read_labels

from .slices import draw_cases

ENDING = '.nii.gz'


def predicted_cases(pred_dir: str | Path, most: int | None = 4) -> list[str]:
    """Return the cases, at most so many, that a folder holds predictions of.

    Raises:
        FileNotFoundError: If there is none.
    """
    cases = sorted(path.name.removesuffix(ENDING) for path in Path(pred_dir).glob(f'*{ENDING}'))
    if not cases:
        raise FileNotFoundError(f'{pred_dir} holds no {{case}}{ENDING}. tools/test.py --out DIR writes them.')
    return cases[:most]


def draw_sample_cases(
    store: str | Path, pred_dir: str | Path, cases: Sequence[str] | None = None, labels: str | None = None
) -> Figure:
    """Draw a row a case, see :func:`~mmcggm.visualization.slices.draw_cases`.

    Args:
        store: That the cases are in.
        pred_dir: Folder with ``{case}.nii.gz``.
        cases: Default: the first four of ``pred_dir``.
        labels: Name of the convention of the predictions' labels. Default: that of the source.

    Raises:
        FileNotFoundError: If there is no prediction, or one has no case in the store.
    """
    stored = [StoredCase(case_path(store, case)) for case in cases or predicted_cases(pred_dir)]
    predictions = [
        read_labels(
            Path(pred_dir) / f'{case.case}{ENDING}', get_convention(labels) if labels else case.convention
        ).array
        for case in stored
    ]
    return draw_cases(list(zip(stored, predictions, strict=True)))
