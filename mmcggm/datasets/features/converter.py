"""Features from files of any kind to one HDF5 file, whose rows are mapped into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from mmcggm.utils import import_optional
from mmcggm.utils.atomic import replacing

from .alignment import aligned, as_column, check_counts, only_count, read_setting
from .rows import FeatureRows

if TYPE_CHECKING:
    import h5py

CHUNK = 1 << 22  # numbers that are written in one go
COLUMNS = ('labels', 'groups', 'split', 'names')


def convert_features(
    inputs: Mapping[str, str | Mapping],
    labels: str | Mapping,
    target: str | Path,
    groups: str | Mapping | None = None,
    splits: Sequence[str] = (),
    data_root: str | Path = '',
    progress: Callable[..., Any] = tqdm,
) -> dict[str, tuple[int, ...]]:
    """Write one file of all rows of all splits, whole or not at all.

    It holds each modality under its name, float32 ``(N, C)`` or ``(N, L, C)``, not compressed; of sequences
    that differ in length, padded with zeros at the end, also ``{modality}_lengths``; ``labels`` and
    ``groups`` as their sources have them; ``split``, the name of each row's split; and ``names``, those of
    the rows where sources have any, by which other files can be matched later.

    Args:
        inputs: The source of each modality, see :class:`~mmcggm.datasets.FeatureDataset`.
        labels: The source of the labels.
        target: The file, ``.h5``; replaced if it exists.
        groups: The source of each row's group.
        splits: What ``{split}`` in sources stands for, in turn.
        data_root: Folder of the sources.
        progress: Shows how far it is, as tqdm does.

    Returns:
        The shape of each array in the file.

    Raises:
        FileNotFoundError: If a source is missing.
        ValueError: If sources don't fit each other, or hold anything but finite numbers.
    """
    target = Path(target)
    if target.suffix not in ('.h5', '.hdf5'):
        raise ValueError(f"'{target}' must end in .h5, by which its kind is told.")
    taken = [name for name in inputs if name in COLUMNS]
    if taken:
        raise ValueError(f'{taken} can not be a modality: the file has the names {list(COLUMNS)} for itself.')
    parts = [_read(inputs, labels, groups, split, data_root) for split in splits or [None]]
    shapes = {m: _shape([part[m] for part in parts], m) for m in inputs}
    h5py = import_optional('h5py', extra='data')
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary, h5py.File(temporary, 'w', libver='v110') as file:
        for modality, shape in shapes.items():
            rows = [part[modality] for part in parts]
            _write_rows(file.create_dataset(modality, shape, np.float32), rows, progress, modality)
            if any(part.padded for part in rows):
                file[f'{modality}_lengths'] = np.concatenate([r.lengths(np.arange(len(r))) for r in rows])
        for name in COLUMNS:
            columns = [part[name] for part in parts if name in part]
            if len(columns) == len(parts):
                values = np.concatenate(columns)
                file[name] = values.tolist() if values.dtype.kind in 'US' else values
        return {name: file[name].shape for name in file}


def _read(
    inputs: Mapping[str, str | Mapping],
    labels: str | Mapping,
    groups: str | Mapping | None,
    split: str | None,
    root: str | Path,
) -> dict[str, Any]:
    """Return rows and columns of one split, of one length."""
    settings = {f'inputs.{modality}': value for modality, value in inputs.items()}
    settings |= dict(labels=labels, groups=groups)
    read = {
        setting: read_setting(value, setting, root, split)
        for setting, value in settings.items()
        if value is not None
    }
    values, names = aligned(read)
    check_counts({setting: len(rows) for setting, rows in values.items()}, read)
    found: dict[str, Any] = {}
    for modality in inputs:
        source = read[f'inputs.{modality}'][0]
        where = f'`inputs.{modality}` ({source})'
        found[modality] = FeatureRows(values[f'inputs.{modality}'], where, source.channels)
    if isinstance(values['labels'], list):
        raise ValueError(
            f'`labels` ({read["labels"][0]}) must be one array, but its entries differ in length.'
        )
    found['labels'] = np.asarray(values['labels'])
    if groups is not None:
        found['groups'] = as_column(values['groups'], 'groups', 'row')
    if split is not None:
        found['split'] = np.full(len(values['labels']), split)
    if names is not None and not only_count(names):
        found['names'] = names
    return found


def _shape(parts: Sequence[FeatureRows], modality: str) -> tuple[int, ...]:
    widths = {(part.channels, part.max_length is None) for part in parts}
    if len(widths) > 1:
        raise ValueError(
            f"'{modality}' differs in shape from split to split: {[part.shape for part in parts]}."
        )
    count, channels = sum(map(len, parts)), parts[0].channels
    lengths = [part.max_length for part in parts if part.max_length is not None]
    return (count, max(lengths), channels) if lengths else (count, channels)


def _write_rows(
    dataset: h5py.Dataset, parts: Sequence[FeatureRows], progress: Callable[..., Any], modality: str
) -> None:
    step = max(1, CHUNK // int(np.prod(dataset.shape[1:])))
    first = 0
    with progress(total=len(dataset), desc=modality, unit=' rows') as bar:
        for part in parts:
            for start in range(0, len(part), step):
                count = min(step, len(part) - start)
                block = np.zeros((count, *dataset.shape[1:]), np.float32)
                for place in range(count):
                    values = part[start + place]
                    block[place, : len(values)] = values
                dataset[first : first + count] = block
                first += count
                bar.update(count)
