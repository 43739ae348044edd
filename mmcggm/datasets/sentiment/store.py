"""Multimodal sentiment data in HDF5, from which a sample is read without reading the file.

Layout, for each split: ``{split}/labels`` (N,) float32, ``{split}/{modality}`` (N, L, C) float32, padded as
in the source, and ``{split}/{modality}_span`` (N, 2) int64, see ``SentimentSplit``. Attribute ``format``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmcggm.utils import import_optional
from mmcggm.utils.atomic import replacing

from .pickle_file import MODALITIES, SentimentSplit

if TYPE_CHECKING:
    import h5py

FORMAT = 'mmcggm sentiment 1'  # raise when the layout changes
SUFFIXES = ('.h5', '.hdf5')
ADVICE = 'Convert the pickle again with tools/dataset_converters/sentiment.py.'


def write_store(path: str | Path, splits: Iterable[tuple[str, SentimentSplit]]) -> dict[str, int]:
    """Write the file, whole or not at all; splits may come one at a time.

    Returns:
        The number of samples by split.
    """
    h5py = import_optional('h5py', extra='data')
    sizes = {}
    with replacing(path) as temporary, h5py.File(temporary, 'w') as file:
        file.attrs['format'] = FORMAT
        for name, split in splits:
            group = file.create_group(name)
            group['labels'] = split.labels
            for modality in MODALITIES:
                group[modality] = split.features[modality]
                group[f'{modality}_span'] = split.spans[modality]
            sizes[name] = len(split)
    return sizes


class StoredFeatures:
    """One modality of a split in the store, mapped into memory: HDF5 is not asked for each sample.

    Forked workers share the map, others make their own.

    Args:
        path: The file.
        offset: Of the array in it, in bytes.
        shape: ``(N, L, C)``.
        dtype: Of the array.
    """

    def __init__(self, path: Path, offset: int, shape: tuple[int, int, int], dtype: np.dtype) -> None:
        self.shape = shape
        self._arguments = (path, offset, shape, dtype)
        self._map = np.memmap(path, dtype, 'r', offset, shape)

    def __reduce__(self) -> tuple:
        return type(self), self._arguments  # not the features, which numpy would send

    def __getitem__(self, index: int) -> np.ndarray:
        return self._map[index]


def read_store(path: str | Path, split: str) -> SentimentSplit:
    """Return a split whose features stay on disk until they are indexed.

    Raises:
        OSError: If the file is missing or cannot be read as HDF5.
        ValueError: If something else than :func:`write_store` wrote it, or it lacks the split.
    """
    path = Path(path)
    with _open(path) as file:
        if file.attrs.get('format') != FORMAT:
            raise ValueError(f"{path} is not in the format '{FORMAT}'. {ADVICE}")
        if split not in file:
            raise ValueError(f"{path} has no split '{split}'; it has {list(file)}.")
        group = file[split]
        return SentimentSplit(
            features={m: _mapped(path, group[m]) for m in MODALITIES},
            spans={m: group[f'{m}_span'][:] for m in MODALITIES},
            labels=group['labels'][:],
        )


def _mapped(path: Path, features: h5py.Dataset) -> StoredFeatures:
    offset = features.id.get_offset()
    if offset is None:
        raise ValueError(f"{path}: '{features.name}' was compressed or cut into chunks since. {ADVICE}")
    return StoredFeatures(path, offset, features.shape, features.dtype)


def _open(path: Path) -> h5py.File:
    h5py = import_optional('h5py', extra='data')
    try:
        # It is only read, so HDF5's locks (which some network file systems refuse) serve nothing.
        return h5py.File(path, 'r', locking=False)
    except OSError as error:
        raise OSError(f'{path} cannot be read ({error}). {ADVICE}') from error
