"""Ready-made features of CMU-MOSI's utterances to one file with their videos and a split by video."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from mmcggm.datasets.readers.tables import Table
from mmcggm.utils.atomic import remove_stale, replacing

FILE = 'mosi_utterances.npz'
TRANSCRIPTS = 'transcripts.csv'
WIDTHS = dict(text=100, audio=73, video=100)
TRAIN_VIDEOS = 62  # the first ones by number train, the others test
VAL_SHARE = 0.35  # of the videos that test
SOURCE = 'download them from soujanyaporia/contextual-utterance-level-multimodal-sentiment-analysis on GitHub'


def read_transcripts(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return name, number of the video (from 1) and label of each utterance, in the file's order.

    Raises:
        ValueError: If the file is another.
    """
    with open(path, newline='', encoding='utf-8') as file:
        rows = list(csv.reader(file))
    for line, row in enumerate(rows, start=1):
        if len(row) != 4 or not row[2].isdecimal() or row[3] not in ('0', '1'):
            raise ValueError(
                f'{path}, row {line} must have an utterance, its words, the number of its video and a label, '
                f'0 or 1, but is {row}: {SOURCE}.'
            )
    if not rows:
        raise ValueError(f'{path} is empty: {SOURCE}.')
    names, _, videos, labels = zip(*rows, strict=True)
    return np.array(names), np.array(videos, np.int64), np.array(labels, np.int64)


def rows_of_tables(videos: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return which utterance each row of the published tables is, as places in the transcripts.

    The tables have no names. Their rows are the positive utterances of the videos of ``'train'`` or
    ``'test'`` in the order of the transcripts, then the negative ones.

    Args:
        videos: Number of the video of each utterance.
        labels: Of each utterance, 0 or 1.
    """
    order = np.argsort(-labels, kind='stable')
    trains = videos[order] <= TRAIN_VIDEOS
    return dict(train=order[trains], test=order[~trains])


def convert_folder(source: str | Path, out: str | Path, *, seed: int = 0) -> dict[str, int]:
    """Write ``out/mosi_utterances.npz``.

    ===========  ===============================================================
    ``text``     float32 (N, 100)
    ``audio``    float32 (N, 73)
    ``video``    float32 (N, 100)
    ``label``    int64 (N,): 1 if the sentiment is positive, else 0
    ``split``    str (N,): ``'train'``, ``'val'`` or ``'test'``
    ``group``    int64 (N,): the number of the video
    ``name``     str (N,): the utterance
    ===========  ===============================================================

    Some of the features were made by networks that had seen the labels of the videos that train: on a
    validation split of those everything is right. So a share of the videos that *test* validates.

    Args:
        source: Folder of ``transcripts.csv`` and ``{text,audio,video}_{train,test}0.csv``.
        out: Folder of the file; made if absent.
        seed: Of the draw of the videos that validate.

    Returns:
        How many utterances each split has.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a table has another shape, or labels that aren't the transcripts'.
    """
    source, out = Path(source), Path(out)
    tables = {
        (modality, part): source / f'{modality}_{part}0.csv'
        for modality in WIDTHS
        for part in ('train', 'test')
    }
    missing = [path.name for path in (source / TRANSCRIPTS, *tables.values()) if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"'{source}' lacks {', '.join(missing)}: {SOURCE}.")
    names, videos, labels = read_transcripts(source / TRANSCRIPTS)
    parts = rows_of_tables(videos, labels)
    features = {
        modality: np.concatenate(
            [
                _read_table(tables[modality, part], WIDTHS[modality], labels[rows])
                for part, rows in parts.items()
            ]
        )
        for modality in WIDTHS
    }
    rows = np.concatenate(list(parts.values()))
    tests = np.unique(videos[parts['test']])
    chosen = np.random.default_rng(seed).permutation(tests)[: round(VAL_SHARE * len(tests))]
    split = np.where(videos <= TRAIN_VIDEOS, 'train', np.where(np.isin(videos, chosen), 'val', 'test'))[rows]
    out.mkdir(parents=True, exist_ok=True)
    remove_stale(out)
    with replacing(out / FILE) as temporary:
        np.savez(temporary, **features, label=labels[rows], split=split, group=videos[rows], name=names[rows])
    return {name: int((split == name).sum()) for name in ('train', 'val', 'test')}


def _read_table(path: Path, width: int, labels: np.ndarray) -> np.ndarray:
    """Return features float32 (N, width) of a table whose last column has ``labels``."""
    values = np.asarray(Table(path, header=False).pick(''))
    if values.shape != (len(labels), width + 1):
        raise ValueError(
            f'{path} has the shape {values.shape}; it must have {len(labels)} utterances of {width} '
            f'features, and the label last: {SOURCE}.'
        )
    if not np.isfinite(values).all():
        raise ValueError(f'{path} holds values that are no finite numbers: {SOURCE}.')
    differ = np.flatnonzero(values[:, -1] != labels)
    if len(differ):
        raise ValueError(
            f'{path}, row {differ[0] + 1} has the label {values[differ[0], -1]:g}, but {TRANSCRIPTS} '
            f'{labels[differ[0]]}: take all files from one source.'
        )
    return values[:, :-1].astype(np.float32)
