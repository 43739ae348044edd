"""Multimodal sentiment data in HDF5, from which a sample is read without reading the file.

Layout, for each split: ``{split}/labels`` (N,) float32, ``{split}/{modality}`` (N, L, C) float32, padded as
in the source, and ``{split}/{modality}_span`` (N, 2) int64, see ``SentimentSplit``. Attribute ``format``.

Whatever is read is checked: ``{split}/{modality}_checksum`` (N, 2) uint32 has the CRC-32 of each sample's
tokens and that of all its rows, padding with them, so that who leaves the padding need not read it. The
attribute ``checksum`` of a split is that of all else in it, with the names, types and shapes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmcggm.datasets.readers.checksums import FirstReads, checksum, row_checksums
from mmcggm.datasets.readers.h5_files import numbers, open_h5
from mmcggm.utils import import_optional
from mmcggm.utils.atomic import replacing

from .pickle_file import MODALITIES, SentimentSplit

if TYPE_CHECKING:
    import h5py

FORMAT = 'mmcggm sentiment 3'  # raise when the layout changes
SUFFIXES = ('.h5', '.hdf5')
ADVICE = 'Convert the pickle again with `mmcggm convert sentiment`.'


def write_store(path: str | Path, splits: Iterable[tuple[str, SentimentSplit]]) -> dict[str, int]:
    """Write the file, whole or not at all; splits may come one at a time.

    Returns:
        The number of samples by split.
    """
    h5py = import_optional('h5py', extra='data')
    sizes = {}
    # Since 1.10 HDF5 has checksums of its own over what is no data.
    with replacing(path) as temporary, h5py.File(temporary, 'w', libver='v110') as file:
        file.attrs['format'] = FORMAT
        for name, split in splits:
            group = file.create_group(name)
            group['labels'] = split.labels
            for modality, features in split.features.items():
                spans = split.spans[modality]
                tokens = (rows[start:stop] for rows, (start, stop) in zip(features, spans, strict=True))
                group[modality] = features
                group[f'{modality}_span'] = spans
                group[f'{modality}_checksum'] = np.stack([row_checksums(tokens), row_checksums(features)], 1)
            group.attrs['checksum'] = _split_checksum(name, group)
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
        spans: The first token that counts and the one after the last, int64 ``(N, 2)``.
        checksums: Of the samples' tokens, and of all their rows, uint32 ``(N, 2)``.
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        shape: tuple[int, int, int],
        dtype: np.dtype,
        spans: np.ndarray,
        checksums: np.ndarray,
    ) -> None:
        self.shape = shape
        self._arguments = (path, offset, shape, dtype, spans, checksums)
        self._path, self._spans, self._checksums = path, spans, checksums
        self._map = np.memmap(path, dtype, 'r', offset, shape)
        self._checked = FirstReads(checksums.size)

    def __reduce__(self) -> tuple:
        return type(self), self._arguments  # not the features, which numpy would send

    def __getitem__(self, key: int | tuple[int, slice]) -> np.ndarray:
        """Return a sample's ``(L, C)``, or some of its rows; only what is asked for is read and checked.

        Raises:
            ValueError: If it is not what was written.
        """
        index, rows = key if isinstance(key, tuple) else (key, slice(None))
        tokens = slice(*self._spans[index].tolist())
        kind = int(rows != tokens)
        read = 2 * index + kind
        if read not in self._checked:
            if zlib.crc32(self._map[index, slice(None) if kind else tokens]) != self._checksums[index, kind]:
                raise ValueError(f'{self._path} is damaged in sample {index}. {ADVICE}')
            self._checked.add(read)
        return self._map[index, rows]


def read_store(path: str | Path, split: str, keys: Mapping[str, str] | None = None) -> SentimentSplit:
    """Return a split whose features stay on disk until they are indexed.

    Args:
        path: The file.
        split: Name of the split.
        keys: What the file calls each modality to read. Default: all that it holds, as it calls them.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If something else than :func:`write_store` wrote it, it lacks the split, or is damaged.
    """
    path = Path(path)
    # It is only read, so HDF5's locks (which some network file systems refuse) serve nothing.
    with open_h5(path, ADVICE, locking=False) as file:
        try:
            return _read_split(path, file, split, keys)
        except (MemoryError, StoreError):
            raise
        except Exception as error:  # h5py raises whatever the broken bytes lead to
            raise ValueError(f'{path} is damaged ({type(error).__name__}: {error}). {ADVICE}') from error


class StoreError(ValueError):
    """A store that says what is wrong with it."""


def _read_split(path: Path, file: h5py.File, split: str, keys: Mapping[str, str] | None) -> SentimentSplit:
    h5py = import_optional('h5py', extra='data')
    if file.attrs.get('format') != FORMAT:
        if not str(file.attrs.get('format', '')).startswith('mmcggm sentiment'):
            raise StoreError(
                f'{path} is not what `mmcggm convert sentiment` writes. Other HDF5 files are read by '
                "FeatureDataset, see the page 'Your own features' of the documentation."
            )
        raise StoreError(f"{path} is not in the format '{FORMAT}'. {ADVICE}")
    if split not in file:
        raise StoreError(
            f"{path} has no split '{split}'; it has {list(file)}. Set `split` of the data set to what the "
            'file calls it.'
        )
    if not isinstance(file.get(split, getlink=True), h5py.HardLink):
        raise StoreError(f"{path}: '{split}' is a link, which is not followed. {ADVICE}")
    group = file[split]
    if group.attrs.get('checksum') != _split_checksum(split, group):
        raise StoreError(f"{path} is damaged in split '{split}'. {ADVICE}")
    held = _modalities(group)
    if keys is not None and 'labels' in keys:
        raise StoreError(
            f'{path} has the labels that it was converted with: take `labels` out of `keys`, and say which '
            'they are by --keys of `mmcggm convert sentiment`.'
        )
    keys = {modality: modality for modality in held} if keys is None else keys
    missing = [name for name in keys.values() if name not in held]
    if missing:
        raise StoreError(
            f"{path}, split '{split}', lacks {missing}; it has {held}. Set "
            '`modalities`, or `keys` for other names.'
        )
    spans = {modality: numbers(group, f'{name}_span')[:] for modality, name in keys.items()}
    features = {modality: _mapped(path, group, name, spans[modality]) for modality, name in keys.items()}
    return SentimentSplit(features, spans, labels=group['labels'][:])


def _modalities(group: h5py.Group) -> list[str]:
    """Return what a split holds, the usual ones first."""
    found = [name.removesuffix('_span') for name in group if name.endswith('_span')]
    return sorted(found, key=lambda m: (MODALITIES.index(m) if m in MODALITIES else len(MODALITIES), m))


def _mapped(path: Path, group: h5py.Group, modality: str, spans: np.ndarray) -> StoredFeatures:
    features = numbers(group, modality)
    offset = features.id.get_offset()
    if offset is None:
        raise StoreError(f"{path}: '{features.name}' was compressed or cut into chunks since. {ADVICE}")
    checksums = numbers(group, f'{modality}_checksum')[:]
    return StoredFeatures(path, offset, features.shape, features.dtype, spans, checksums)


def _split_checksum(name: str, group: h5py.Group) -> int:
    """Return the checksum of all in a split but the features, of which it has the checksums."""
    parts = [name, numbers(group, 'labels')[:]]
    for modality in _modalities(group):
        features = numbers(group, modality)
        parts += [modality, f'{features.dtype.str}{features.shape}']
        parts += [numbers(group, f'{modality}_{kind}')[:] for kind in ('span', 'checksum')]
    return checksum(parts)
