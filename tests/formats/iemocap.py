"""Synthetic features in the layout of IEMOCAP's as MMIN published them."""

from pathlib import Path

import h5py
import numpy as np

CHANNELS = dict(text=1024, audio=130, vision=342)
FILES = dict(text='L/bert_large.h5', audio='A/comparE.h5', vision='V/denseface.h5')
PADDED = dict(text=22, vision=50)  # frames in the file; audio has as many as the utterance


def write_synthetic_iemocap(
    root: str | Path,
    sizes: dict[str, int] = dict(trn=12, val=6, tst=6),
    folds: tuple[int, ...] = (1, 2),
    channels: dict[str, int] = CHANNELS,
    one_hot: bool = True,
    name_type: type = np.bytes_,
    statistics: bool = True,
    seed: int = 0,
) -> Path:
    """Write ``A``, ``V``, ``L`` and ``target`` into ``root`` and return it.

    Folds differ in which utterances train, validate and test. A class adds a pattern of its own to all
    channels of all modalities, so that it can be learnt.

    Args:
        root: The folder; made if absent.
        sizes: Number of utterances by split.
        folds: Names of the folds.
        channels: By modality.
        one_hot: Labels ``(N, 4)`` float, else ``(N,)`` integers.
        name_type: ``np.bytes_``, of shape ``(N, 1)`` as published, or ``np.str_``, of shape ``(N,)``.
        statistics: Whether to write ``A/comparE_mean_std.h5``.
        seed: Of everything random.
    """
    root, rng = Path(root), np.random.default_rng(seed)
    total = sum(sizes.values())
    names = [f'Ses{i % 5 + 1:02d}F_impro{i // 5:02d}_F{i:03d}' for i in range(total)]
    labels = np.arange(total) % 4
    audio = {}
    for modality, file in FILES.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        patterns = rng.normal(size=(4, channels[modality]))
        with h5py.File(root / file, 'w') as h5:
            for name, label in zip(names, labels, strict=True):
                length = int(rng.integers(2, 20))
                features = 3 * rng.normal(size=(length, channels[modality])) + patterns[label]
                if modality == 'audio':
                    audio[name] = features = 100 * features + 7  # not normalised
                else:
                    features = np.pad(features, ((0, PADDED[modality] - length), (0, 0)))
                h5[name] = features
    for fold in folds:
        folder = root / 'target' / str(fold)
        folder.mkdir(parents=True, exist_ok=True)
        order, start = rng.permutation(total), 0
        for split, size in sizes.items():
            chosen, start = order[start : start + size], start + size
            written = np.array([names[i] for i in chosen]).astype(name_type)
            np.save(folder / f'{split}_int2name.npy', written[:, None] if name_type is np.bytes_ else written)
            np.save(folder / f'{split}_label.npy', np.eye(4)[labels[chosen]] if one_hot else labels[chosen])
            if split == 'trn' and statistics:
                frames = np.concatenate([audio[names[i]] for i in chosen])
                with h5py.File(root / 'A' / 'comparE_mean_std.h5', 'a') as h5:
                    h5[f'{fold}/mean'], h5[f'{fold}/std'] = frames.mean(axis=0), frames.std(axis=0)
    return root
