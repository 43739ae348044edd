"""Scores of modalities from what was counted."""

from __future__ import annotations

import torch
from torch import Tensor


def scores_from_counts(counts: Tensor) -> Tensor:
    """Return the scores ``(M,)`` of ``counts`` ``(M, K, 2)``; parts without samples are left out.

    A score none of whose parts has samples is NaN.
    """
    seen = counts[..., 1] > 0
    ratios = counts[..., 0] / counts[..., 1].where(seen, torch.ones_like(counts[..., 1]))
    return ratios.where(seen, torch.zeros_like(ratios)).sum(-1) / seen.sum(-1)


def mean_of_others(values: Tensor, counted: Tensor | None = None) -> Tensor:
    """Return for each modality the mean of the other modalities' ``values`` ``(M,)``.

    Args:
        values: Of the modalities; zero where one is not counted.
        counted: Which of them count, bool ``(M,)``. Default: all.

    Returns:
        Shape ``(M,)``; zero where no other counts.
    """
    counted = torch.ones_like(values, dtype=torch.bool) if counted is None else counted
    return (values.sum() - values) / (counted.sum() - counted.int()).clamp(min=1)
