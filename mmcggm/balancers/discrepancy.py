"""How much better a modality predicts than the others: OGM's discrepancy ratio (arXiv 2203.15332)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .pass_record import Pass
from .scores import mean_of_others


def confidence_sums(seen: Pass) -> Tensor:
    """Return the sums ``s`` ``(M,)`` of the probabilities that guides give to the truth in a pass.

    Zero for a modality that the batch lacks. Samples that lack one count as those that have it do on
    average, so that a modality is not weak for being rare.
    """
    return _sums(seen, seen.confidences())


def share_sums(seen: Pass) -> Tensor:
    """Return the sums ``s`` ``(M,)`` of the probabilities that the modalities give to the truth in a pass.

    As published from each one's share of the fused output, where fusion is affine; elsewhere from the guides.
    """
    shares = seen.shares()
    if shares is None:
        return confidence_sums(seen)
    return _sums(seen, [None if share is None else seen.confidences_of(share) for share in shares])


def discrepancy_ratios(sums: Tensor) -> Tensor:
    """Return ``r_i`` ``(M,)`` for the sums ``s_i`` ``(M,)`` of probabilities.

    A modality without a sum is left out of the means; one that has no other to compare with has ``r_i = 1``.
    """
    others = mean_of_others(sums, counted=sums > 0)
    return torch.where(others > 0, sums / others, torch.ones_like(sums))


def _sums(seen: Pass, confidences: Sequence[Tensor | None]) -> Tensor:
    def total(index: int, own: Tensor) -> Tensor:
        there = seen.samples_with(index)
        return own.sum() if there is None else own[there.to(own.device)].mean() * len(own)

    nothing = seen.task_loss.new_zeros(())
    sums = [nothing if own is None else total(index, own) for index, own in enumerate(confidences)]
    return torch.stack(sums).detach()
