"""Names and labels of IEMOCAP's utterances, by fold and split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmcggm.datasets.readers.npz import read_npy

SPLITS = dict(train='trn', val='val', test='tst')


def read_names(root: Path, cv: int, split: str) -> list[str]:
    """Return the names in ``root/target/{cv}/{trn,val,tst}_int2name.npy``: bytes or str, (N,) or (N, 1).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else, or nothing.
    """
    path, names = _load(root, cv, split, 'int2name')
    if names.dtype.kind not in 'SU' or names.ndim not in (1, 2) or names.size != len(names):
        raise ValueError(
            f'{path} must hold names, bytes or str of shape (N,) or (N, 1), but holds {names.dtype} of '
            f'shape {names.shape}.'
        )
    if not names.size:
        raise ValueError(f'{path} names no utterance.')
    try:
        found = [name.decode() if isinstance(name, bytes) else str(name) for name in names.ravel()]
    except (UnicodeDecodeError, ValueError) as error:
        raise ValueError(f'{path} holds names that are no text ({error}).') from error
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        raise ValueError(f"{path} names '{twice[0]}' more than once ({len(twice)} such names).")
    return found


def read_labels(root: Path, cv: int, split: str, classes: Sequence[str]) -> list[int]:
    """Return the classes in ``root/target/{cv}/{trn,val,tst}_label.npy``: one-hot, or indices (N,) or (N, 1).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else, or a class that is not in ``classes``.
    """
    path, labels = _load(root, cv, split, 'label')
    if labels.ndim == 2 and labels.shape[1] == len(classes):
        valid = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        indices = labels.argmax(axis=1)
    else:
        valid = labels.ndim in (1, 2) and labels.size == len(labels)
        valid = valid and np.isin(labels, range(len(classes))).all()
        indices = labels.ravel()
    if not valid:
        raise ValueError(
            f'{path}, of shape {labels.shape}, must hold a class each of {list(classes)}: one-hot, '
            f'(N, {len(classes)}), or as an index from 0 to {len(classes) - 1}. Other classes are named by '
            '`metainfo=dict(classes=[...])` of the data set.'
        )
    return [int(index) for index in indices]


def _load(root: Path, cv: int, split: str, kind: str) -> tuple[Path, np.ndarray]:
    folder = root / 'target' / str(cv)
    path = folder / f'{SPLITS[split]}_{kind}.npy'
    if not path.is_file():
        folds = sorted((p.name for p in folder.parent.iterdir()), key=lambda name: (len(name), name))
        raise FileNotFoundError(f'{path} is missing: `cv` is {cv}, and {folder.parent} has {folds}.')
    return path, read_npy(path)
