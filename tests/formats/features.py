"""Synthetic features by modality in files of every kind, whose labels can be learnt."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pandas
import scipy.io
import torch
from safetensors.numpy import save_file

ROWS, CHANNELS = 60, dict(left=5, right=3)


def arrays(rows: int = ROWS, seed: int = 0) -> dict[str, np.ndarray]:
    """Return vectors of two modalities, a class of three a row, its subject and its split."""
    draw = np.random.default_rng(seed)
    label = np.arange(rows) % 3
    features = {m: draw.normal(size=(rows, c)) + label[:, None] for m, c in CHANNELS.items()}
    subject = np.arange(rows) // 6
    split = np.array(['train', 'val', 'test'])[np.minimum(subject // 4, 2)]
    return {**features, 'label': label, 'subject': subject, 'split': split}


def write(path: Path, content: dict[str, np.ndarray]) -> Path:
    """Write arrays by name in the way that the suffix tells; those of text only where the format has any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = {name: value for name, value in content.items() if value.dtype.kind != 'U'}
    if path.suffix == '.npz':
        np.savez_compressed(path, **content)
    elif path.suffix == '.mat':
        scipy.io.savemat(path, numbers)
    elif path.suffix == '.h5':
        with h5py.File(path, 'w') as file:
            for name, value in content.items():
                file[name] = value.tolist() if value.dtype.kind == 'U' else value
    elif path.suffix == '.pt':
        torch.save({name: torch.from_numpy(value) for name, value in numbers.items()}, path)
    elif path.suffix == '.safetensors':
        save_file({name: np.ascontiguousarray(value) for name, value in numbers.items()}, path)
    elif path.suffix == '.pkl':
        path.write_bytes(pickle.dumps(content))
    else:
        raise ValueError(f'{path}: no format of these files.')
    return path


def write_tables(folder: Path, **kwargs) -> Path:
    """Write a ``.csv`` for each modality and split, and for the labels, as pandas does."""
    content = arrays()
    for split in ('train', 'val', 'test'):
        of_split = content['split'] == split
        for name in (*CHANNELS, 'label'):
            values = content[name][of_split]
            columns = [f'{name}{i}' for i in range(values.shape[1])] if values.ndim == 2 else [name]
            rows = [f'row {row}' for row in np.flatnonzero(of_split)]
            pandas.DataFrame(values, rows, columns).to_csv(folder / f'{name}_{split}.csv', **kwargs)
    return folder
