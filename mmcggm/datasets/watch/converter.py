"""The watch's recordings to one file of windows, whose features training reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmcggm.datasets.readers.source import Source
from mmcggm.datasets.readers.sources import read_source
from mmcggm.utils import installed_folder
from mmcggm.utils.atomic import remove_stale, replacing

SOURCE_FILE, FILE = 'watch_dataset.npy', 'watch.npz'
RATE = 50  # samples a second
SENSORS = dict(accelerometer=slice(0, 3), gyroscope=slice(3, 6))
STATISTICS = ('mean', 'standard deviation', 'minimum', 'maximum', 'mean absolute step')
PACKAGE, FOLDER = 'seglearn', 'data'
SOURCE = '`pip install --no-deps seglearn`, or unzip seglearn/data/watch_dataset.npy and name the folder'


def read_recordings(folder: str | Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Read ``watch_dataset.npy`` as the package seglearn ships it, without running code in it.

    Returns:
        The recordings, each ``(T, 6)`` with T of its own: three axes of the accelerometer, then of the
        gyroscope; and of each its exercise, str ``(N,)``, and its subject, int64 ``(N,)``.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it has other content.
    """
    path = Path(folder) / SOURCE_FILE
    if not path.is_file():
        raise FileNotFoundError(f"There is no '{path}': {SOURCE}.")
    series, exercises, names, subjects = (
        read_source(Source(path, key, f'{SOURCE_FILE}:{key}')).values
        for key in ('X', 'y', 'y_labels', 'subject')
    )
    shapes = {np.shape(recording)[1:] for recording in series}
    if shapes != {(6,)}:
        raise ValueError(f'{path}: each of `X` must be a recording (T, 6), but has {shapes} for (6,).')
    if not len(series) == len(exercises) == len(subjects):
        raise ValueError(
            f'{path}: `X`, `y` and `subject` must be as many, but are {len(series)}, {len(exercises)} and '
            f'{len(subjects)}: get the file anew.'
        )
    for number, recording in enumerate(series):
        if not np.isfinite(recording).all():
            raise ValueError(f'{path}: recording {number} holds values that are no finite numbers.')
    if not np.isin(exercises, range(len(names))).all():
        raise ValueError(f'{path}: `y` must be places in `y_labels`, from 0 to {len(names) - 1}.')
    return list(series), np.asarray(names)[exercises], np.asarray(subjects, np.int64)


def window_statistics(recording: np.ndarray, length: int) -> np.ndarray:
    """Return the statistics of each window, float32 ``(N, C, 5)``, in the order of ``STATISTICS``.

    Args:
        recording: ``(T, C)``.
        length: Of the windows, which follow each other; what is left at the end is not used.
    """
    count = len(recording) // length
    windows = np.asarray(recording[: count * length], np.float64).reshape(count, length, recording.shape[1])
    steps = np.abs(np.diff(windows, axis=1))
    found = [windows.mean(1), windows.std(1), windows.min(1), windows.max(1), steps.mean(1)]
    return np.stack(found, axis=2).astype(np.float32)


def convert_recordings(source: str | Path | None, out: str | Path, *, seconds: float = 2.0) -> dict[str, int]:
    """Write ``out/watch.npz``.

    =================  =====================================================================
    ``accelerometer``  float32 (N, 15): five statistics of each of three axes in a window
    ``gyroscope``      float32 (N, 15): likewise
    ``label``          str (N,): the exercise, such as ``'ROW'``
    ``subject``        int64 (N,): who it was
    ``recording``      int64 (N,): the place of the recording in the source
    =================  =====================================================================

    Args:
        source: Folder of ``watch_dataset.npy``. None: that of the installed seglearn.
        out: Folder of the file; made if absent.
        seconds: Length of a window.

    Returns:
        How many recordings, windows and subjects there are.

    Raises:
        FileNotFoundError: If the source is missing.
        ValueError: If it has other content, or a window is longer than a recording or too short.
    """
    source = installed_folder(PACKAGE, FOLDER, SOURCE) if source is None else source
    series, exercises, subjects = read_recordings(source)
    length = round(seconds * RATE)
    shortest = min(map(len, series))
    if not 2 <= length <= shortest:
        raise ValueError(
            f'A window of {seconds:g} s has {length} samples; it must have 2 or more, and at most those of '
            f'the shortest recording, {shortest} ({shortest / RATE:g} s).'
        )
    windows = [window_statistics(recording, length) for recording in series]
    recordings = np.repeat(np.arange(len(series)), [len(part) for part in windows])
    statistics = np.concatenate(windows)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    remove_stale(out)
    with replacing(out / FILE) as temporary:
        np.savez(
            temporary,
            label=exercises[recordings],
            subject=subjects[recordings],
            recording=recordings,
            **{name: statistics[:, axes].reshape(len(statistics), -1) for name, axes in SENSORS.items()},
        )
    return dict(recordings=len(series), windows=len(statistics), subjects=len(np.unique(subjects)))
