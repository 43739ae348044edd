"""Synthetic pickles in the formats of CMU-MOSI and CMU-MOSEI: random numbers, real layout."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

MODALITIES = ('text', 'audio', 'vision')
WIDTHS = dict(text=6, audio=5, vision=4)
SIZES = dict(train=12, valid=5, test=7)
ALIGNED = dict(text=9, audio=9, vision=9)
UNALIGNED = dict(text=9, audio=15, vision=12)


def mult_data(lengths: dict = ALIGNED, widths: dict = WIDTHS, seed: int = 0) -> dict:
    """Return ``{split: {text, audio, vision, labels, id}}`` as MulT has it, padded at the front."""
    rng = np.random.default_rng(seed)
    return {split: _mult_split(rng, size, lengths, widths) for split, size in SIZES.items()}


def mmsa_data(aligned: bool = True, widths: dict = WIDTHS, seed: int = 0) -> dict:
    """Return ``{split: {text, text_bert, audio, vision, regression_labels, ...}}`` as MMSA has it.

    Padding is at the end; that of ``text`` is BERT's output there, which is not zero.
    """
    rng = np.random.default_rng(seed)
    lengths = ALIGNED if aligned else UNALIGNED
    return {split: _mmsa_split(rng, split, size, lengths, widths, aligned) for split, size in SIZES.items()}


def write_pickle(path: Path, data: object, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    return path


def _mult_split(rng: np.random.Generator, size: int, lengths: dict, widths: dict) -> dict:
    split = {m: rng.normal(size=(size, lengths[m], widths[m])) for m in widths}
    for x in split.values():
        for sequence, length in zip(x, rng.integers(1, x.shape[1] + 1, size), strict=True):
            sequence[: x.shape[1] - length] = 0
    return dict(
        text=split['text'].astype(np.float32),
        audio=split['audio'],
        vision=split['vision'],
        labels=_sentiments(rng, size).reshape(size, 1, 1),
        id=np.array([[b'clip', b'0.0', b'1.5']] * size),
    )


def _mmsa_split(
    rng: np.random.Generator, split: str, size: int, lengths: dict, widths: dict, aligned: bool
) -> dict:
    data = {m: rng.normal(size=(size, lengths[m], widths[m])).astype(np.float32) for m in widths}
    counts = {m: rng.integers(3, lengths[m] + 1, size) for m in widths}
    for modality in ('audio', 'vision'):
        if aligned:
            counts[modality] = counts['text']
        for sequence, count in zip(data[modality], counts[modality], strict=True):
            sequence[count:] = 0
    mask = (np.arange(lengths['text']) < counts['text'][:, None]).astype(np.float32)
    labels = _sentiments(rng, size)
    data |= dict(
        text_bert=np.stack([mask * 101, mask, np.zeros_like(mask)], axis=1),
        raw_text=np.array(['A clip that says something.'] * size, dtype=object),
        id=[f'{split}$_${index}' for index in range(size)],
        annotations=np.where(labels > 0, 'Positive', np.where(labels < 0, 'Negative', 'Neutral')).tolist(),
        classification_labels=np.sign(labels) + 1,
        regression_labels=labels,
    )
    if not aligned:
        data |= {f'{m}_lengths': counts[m].tolist() for m in ('audio', 'vision')}
    return data


def _sentiments(rng: np.random.Generator, size: int) -> np.ndarray:
    return (rng.integers(-15, 16, size) / 5).astype(np.float32)
