"""The published feature pickles of multimodal sentiment data: CMU-MOSI, CMU-MOSEI and their like."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmcggm.datasets.readers.safe_pickle import load_pickle

from .spans import find_spans

MODALITIES = ('text', 'audio', 'vision')
AUDIO = ('audio', 'acoustic')  # where −inf is the logarithm of silence
LABELS = ('labels', 'regression_labels')
SPLITS = ('train', 'valid', 'test')
OTHERS = ('.csv', '.tsv', '.parquet', '.npy', '.npz', '.mat', '.pt', '.pth', '.safetensors', '.h5', '.hdf5')
OTHER_ORDER = (
    'FeatureDataset reads arrays in any other order, and lists of sequences that differ in length, see the '
    "page 'Your own features' of the documentation."
)


@dataclass(frozen=True)
class SentimentSplit:
    """The samples of one split.

    Attributes:
        features: By modality, float32 ``(N, L, C)``, finite, padded as the file has it; from HDF5, something
            of its shape that is indexed alike, by a sample or by a sample and a slice of its rows.
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

    What else stands beside the splits, such as the settings of the tool that wrote the file, is left out, and
    named in the log.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafePickleError: If the pickle would run code.
        ValueError: If it is damaged, of another kind, or holds something else.
    """
    if Path(path).suffix in OTHERS:
        raise ValueError(
            f"'{path}' is no pickle. FeatureDataset reads such files as they are, see the page 'Your own "
            "features' of the documentation; `mmcggm convert features` makes one file of them."
        )
    data = load_pickle(path)
    entries = data if isinstance(data, Mapping) else {}
    splits = {name: value for name, value in entries.items() if _is_split(name, value)}
    if not splits or not all(isinstance(split, Mapping) for split in splits.values()):
        raise ValueError(
            f'{path} must hold {{split: {{text, audio, vision, labels}}}}, but its value is a '
            f'{type(data).__name__}{f" of {list(data)[:9]}" if isinstance(data, Mapping) else ""}. '
            f'{OTHER_ORDER}'
        )
    if len(splits) < len(entries):
        others = [name for name in entries if name not in splits]
        print_log(f'{path}: {others} are no splits and are not read.', 'current', logging.WARNING)
    return splits


def _is_split(name: object, value: object) -> bool:
    """Whether an entry is meant as a split; a damaged one is, and is to be refused."""
    arrays = (value.get(key) for key in (*MODALITIES, *LABELS)) if isinstance(value, Mapping) else ()
    return name in SPLITS or any(isinstance(array, (np.ndarray, list)) for array in arrays)


def keys_of(modalities: Sequence[str], keys: Mapping[str, str] | None) -> dict[str, str]:
    """Return what a file calls each modality: its own name, unless ``keys`` has another.

    Where ``keys`` says what the file calls the ``'labels'``, that is among them, too.

    Raises:
        ValueError: If ``keys`` names another modality, or there is none.
    """
    if keys is not None and not isinstance(keys, Mapping):
        raise ValueError(f"`keys` must be what the file calls each modality, dict(text='…'), got {keys!r}.")
    keys = dict(keys or {})
    unknown = [name for name in keys if name not in (*modalities, LABELS[0])]
    if unknown or not modalities:
        raise ValueError(f'`keys` names {unknown}, but `modalities` are {list(modalities)}.')
    of_labels = {LABELS[0]: keys[LABELS[0]]} if LABELS[0] in keys else {}
    return {modality: keys.get(modality, modality) for modality in modalities} | of_labels


def parse_split(raw: Mapping[str, Any], where: str, keys: Mapping[str, str] | None = None) -> SentimentSplit:
    """Check one split of a pickle and bring it to one form.

    Two formats are known. That of the CMU-MultimodalSDK and of MulT (Tsai et al., ACL 2019,
    arXiv 1906.00295), which the code of CGGM reads, has ``text``, ``audio``, ``vision`` and ``labels``
    ``(N, 1, 1)``, and is padded with zeros at the front. That of MMSA (Mao et al., ACL 2022,
    arXiv 2203.12441) has ``regression_labels`` ``(N,)`` and ``text_bert`` ``(N, 3, L)`` (BERT's tokens,
    mask and segments), if it is not aligned ``audio_lengths`` and ``vision_lengths``, and is padded at
    the end; its ``text`` is BERT's output, which is not zero at padding.

    What counts in a sequence follows, in this order, from ``{modality}_lengths``, for text from the mask in
    ``text_bert``, or from zeros: all rows from the first to the last that has a value other than zero, so
    padding may be at either end. Rows of zeros between others always count, and of a sequence of nothing but
    zeros one row does.

    A length says how many rows count; which, is seen from the data, since the padding may be at the start or
    at the end. Rows other than zero outside of them are an error, so is a length that is negative, no whole
    number, or beyond L (but for sequences that fill all L rows and so were cut).

    Audio of −inf, the logarithm of silence, becomes 0; the number of values is logged.

    Args:
        raw: The split's entries.
        where: What messages call it, for example ``"data/mosi.pkl, split 'train'"``.
        keys: What the entry of each modality is called, and that of the ``labels``. Default: text, audio and
            vision, and the labels that there are.

    Raises:
        ValueError: If an entry is missing, has another shape, or holds a value that is not finite; or if
            there are two entries of labels that differ.
    """
    keys = dict(keys or {})
    if not set(keys) - {LABELS[0]}:
        keys = keys_of(MODALITIES, keys)
    key = _label_key(raw, keys.pop(LABELS[0], None), where)
    missing = [name for name in keys.values() if name not in raw]
    if missing or key not in raw:
        raise ValueError(
            f'{where} lacks {missing or key or " or ".join(LABELS)}; it has {list(raw)}. '
            'Modalities of other names, or fewer, are set by `modalities` and `keys` of the '
            'data set, and by --keys of the converter; labels of another name by `keys`, too.'
        )
    labels = _labels(raw[key], key, where)
    if labels.size != len(labels):
        raise ValueError(
            f"{where}: '{key}' has shape {labels.shape}, not one sentiment a "
            'sample. Labels of emotions are not read.'
        )
    labels = labels.reshape(-1)
    _check_finite(labels, key, where)

    features, spans = {}, {}
    for modality, name in keys.items():
        x = _numbers(raw[name], name, where)
        if x.ndim != 3 or len(x) != len(labels) or 0 in x.shape:
            raise ValueError(
                f"{where}: '{name}' has shape {x.shape}, expected (N, L, C) with N = {len(labels)}, the "
                f"number of '{key}'."
            )
        features[modality] = _without_silence(x, where) if {modality, name} & set(AUDIO) else x
        _check_finite(features[modality], name, where)
        spans[modality] = find_spans(raw, name, x, where)
    return SentimentSplit(features, spans, labels)


def _label_key(raw: Mapping[str, Any], given: str | None, where: str) -> str | None:
    """Return the key of the labels; None if there are none.

    Raises:
        ValueError: If nobody says which of two entries they are that differ.
    """
    if given is not None:
        return given
    found = [key for key in LABELS if key in raw]
    if len(found) == 2 and not np.array_equal(*(_labels(raw[key], key, where).ravel() for key in found)):
        raise ValueError(
            f"{where} has both '{found[0]}' and '{found[1]}', and they differ. Say which are the sentiments: "
            f"keys=dict(labels='{found[1]}') of the data set, --keys labels={found[1]} of the converter."
        )
    return found[-1] if found else None


def _labels(values: Any, key: str, where: str) -> np.ndarray:
    """Return float32, also of numbers that are written as text, as those from a table are."""
    return _numbers(values, key, where, 'biufOSU')


def _numbers(values: Any, key: str, where: str, kinds: str = 'biufO') -> np.ndarray:
    """Return float32 of numbers whose types are of ``kinds``, as numpy calls them."""
    try:
        numbers = np.asarray(values)
        if numbers.dtype.kind not in kinds:
            raise TypeError(f'its type is {numbers.dtype}')
        with np.errstate(over='raise'):
            return numbers.astype(np.float32, copy=False)
    except (TypeError, ValueError, FloatingPointError) as error:
        raise ValueError(
            f"{where}: '{key}' is no array of numbers that float32 can hold ({error}). {OTHER_ORDER}"
        ) from error


def _without_silence(audio: np.ndarray, where: str) -> np.ndarray:
    if np.isfinite(audio).all():  # quicker than to look for −inf
        return audio
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
