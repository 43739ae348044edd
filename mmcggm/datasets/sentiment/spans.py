"""Where in a padded sequence of a sentiment file its tokens stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmcggm.datasets.readers.spans import samples, spans_of_lengths, spans_of_rows


def find_spans(raw: Mapping[str, Any], modality: str, x: np.ndarray, where: str) -> np.ndarray:
    """Return for each sample the first token that counts, and the one after the last.

    See :func:`~mmcggm.datasets.sentiment.pickle_file.parse_split` for what counts.

    Args:
        raw: The split's entries.
        modality: The one to look at.
        x: Its features, ``(N, L, C)``, finite or −inf.
        where: What messages call the split.

    Returns:
        int64 ``(N, 2)``, from 0 to L, never of an empty sequence.

    Raises:
        ValueError: If lengths or BERT's mask have another shape, or lengths are none or not those of the
            features.
    """
    real = (x != 0).any(axis=2)
    if f'{modality}_lengths' in raw:
        return spans_of_lengths(raw[f'{modality}_lengths'], f'{modality}_lengths', modality, real, where)
    if modality == 'text' and 'text_bert' in raw:
        real = _bert_mask(raw['text_bert'], real.shape, where)
    return spans_of_rows(real)


def _bert_mask(tokens: Any, shape: tuple[int, int], where: str) -> np.ndarray:
    tokens, (count, max_length) = np.asarray(tokens), shape
    if tokens.shape != (count, 3, max_length):
        raise ValueError(
            f"{where}: 'text_bert' has shape {tokens.shape}, expected {(count, 3, max_length)}, as many "
            "tokens as 'text' has."
        )
    mask = tokens[:, 1]
    bad = np.flatnonzero(~np.isin(mask, (0, 1)).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{where}: the mask in 'text_bert'[:, 1] holds other numbers than 0 and 1 in {samples(bad)}. "
            "Give BERT's attention mask, or leave 'text_bert' out."
        )
    return mask != 0
