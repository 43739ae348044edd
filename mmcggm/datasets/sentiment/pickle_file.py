"""The published feature pickles of multimodal sentiment data: CMU-MOSI, CMU-MOSEI and their like."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmcggm.datasets.readers.safe_pickle import load_pickle

MODALITIES = ('text', 'audio', 'vision')
LABELS = ('labels', 'regression_labels')


@dataclass(frozen=True)
class SentimentSplit:
    """The samples of one split.

    Attributes:
        features: By modality, float32 ``(N, L, C)``, finite, padded as the file has it; from HDF5, something
            with its shape that gives a sample's ``(L, C)`` by index.
        spans: By modality, int64 ``(N, 2)``: the first token that counts, and the one after the last.
        labels: Sentiment, float32 ``(N,)``.
    """

    features: dict[str, np.ndarray]
    spans: dict[str, np.ndarray]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def read_pickle(path: str | Path) -> dict[str, Mapping[str, Any]]:
    """Return ``{split: {key: value}}`` as the pickle has it; :func:`parse_split` makes sense of a split.

    Raises:
        UnsafePickleError: If the pickle would run code.
        ValueError: If it is damaged, or holds something else.
    """
    data = load_pickle(path)
    if (
        not isinstance(data, Mapping)
        or not data
        or not all(isinstance(split, Mapping) for split in data.values())
    ):
        raise ValueError(
            f'{path} must hold {{split: {{text, audio, vision, labels}}}}, but its value is a '
            f'{type(data).__name__}' + (f' of {list(data)[:9]}.' if isinstance(data, Mapping) else '.')
        )
    return data


def parse_split(raw: Mapping[str, Any], where: str) -> SentimentSplit:
    """Check one split of a pickle and bring it to one form.

    Two formats are known. That of the CMU-MultimodalSDK and of MulT (Tsai et al., ACL 2019,
    arXiv 1906.00295), which the code of CGGM reads, has ``text``, ``audio``, ``vision`` and ``labels``
    ``(N, 1, 1)``, and is padded with zeros at the front. That of MMSA (Mao et al., ACL 2022,
    arXiv 2203.12441) has ``regression_labels`` ``(N,)`` and ``text_bert`` ``(N, 3, L)`` (BERT's tokens,
    mask and segments), if it is not aligned ``audio_lengths`` and ``vision_lengths``, and is padded at
    the end; its ``text`` is BERT's output, which is not zero at padding.

    What counts in a sequence follows, in this order, from ``{modality}_lengths`` (never less than one
    token; a length beyond L, of a sequence that was cut, is L), for text from the mask in ``text_bert``,
    or from zeros: all rows from the first to the last that has a value other than zero, so padding may
    be at either end. (In a sequence of nothing but zeros the first row counts.)

    Audio of −inf, the logarithm of silence, becomes 0; the number of values is logged.

    Args:
        raw: The split's entries.
        where: What messages call it, for example ``"data/mosi.pkl, split 'train'"``.

    Raises:
        ValueError: If an entry is missing, has another shape, or holds a value that is not finite.
    """
    missing = [modality for modality in MODALITIES if modality not in raw]
    key = next((key for key in LABELS if key in raw), None)
    if missing or key is None:
        raise ValueError(f'{where} lacks {missing or "labels or regression_labels"}; it has {list(raw)}.')
    labels = _numbers(raw[key], key, where)
    if labels.size != len(labels):
        raise ValueError(
            f"{where}: '{key}' has shape {labels.shape}, not one sentiment a sample. Labels of emotions are "
            'not read.'
        )
    labels = labels.reshape(-1)
    _check_finite(labels, key, where)

    features, spans = {}, {}
    for modality in MODALITIES:
        x = _numbers(raw[modality], modality, where)
        if x.ndim != 3 or len(x) != len(labels) or 0 in x.shape:
            raise ValueError(
                f"{where}: '{modality}' has shape {x.shape}, expected (N, L, C) with N = {len(labels)}, the "
                f"number of '{key}'."
            )
        spans[modality] = _spans(raw, modality, x, where)
        features[modality] = _without_silence(x, where) if modality == 'audio' else x
        _check_finite(features[modality], modality, where)
    return SentimentSplit(features, spans, labels)


def _numbers(values: Any, key: str, where: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: '{key}' is no array of numbers ({error}).") from error


def _spans(raw: Mapping[str, Any], modality: str, x: np.ndarray, where: str) -> np.ndarray:
    samples, max_length, _ = x.shape
    key = f'{modality}_lengths'
    if key in raw:
        lengths = _numbers(raw[key], key, where)
        if lengths.shape != (samples,):
            raise ValueError(f"{where}: '{key}' has shape {lengths.shape}, expected ({samples},).")
        stops = lengths.astype(np.int64).clip(1, max_length)
        return np.stack([np.zeros_like(stops), stops], axis=1)
    counts = (x != 0).any(axis=2)
    if modality == 'text' and 'text_bert' in raw:
        tokens = _numbers(raw['text_bert'], 'text_bert', where)
        if tokens.shape != (samples, 3, max_length):
            raise ValueError(
                f"{where}: 'text_bert' has shape {tokens.shape}, expected {(samples, 3, max_length)}, as "
                f"'text' has shape {x.shape}."
            )
        counts = tokens[:, 1] != 0
    first, last = counts.argmax(axis=1), max_length - 1 - counts[:, ::-1].argmax(axis=1)
    last = np.where(counts.any(axis=1), last, 0)
    return np.stack([first, last + 1], axis=1)


def _without_silence(audio: np.ndarray, where: str) -> np.ndarray:
    silent = np.isneginf(audio)
    count = int(silent.sum())
    if not count:
        return audio
    print_log(f'{where}: {count} values of −inf in audio became 0.', 'current', logging.WARNING)
    return np.where(silent, np.float32(0), audio)


def _check_finite(x: np.ndarray, key: str, where: str) -> None:
    finite = np.isfinite(x)
    if not finite.all():
        samples = np.flatnonzero(~finite.reshape(len(x), -1).all(axis=1))
        raise ValueError(
            f"{where}: '{key}' holds {int((~finite).sum())} values that are NaN or infinite, in samples "
            f'{samples[:5].tolist()}{" and more" if len(samples) > 5 else ""}. Set them to numbers, or leave '
            'these samples out.'
        )
