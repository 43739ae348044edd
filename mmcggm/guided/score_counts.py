"""Scores of a whole data set, as counts that add up over batches and processes."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmcggm.balancers import scores_from_counts


class ScoreCounts:
    """Sums of what batches of a data set count, by name; a sample that a sampler repeats counts twice."""

    def __init__(self) -> None:
        self._totals: dict[str, Tensor] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._totals

    @torch.no_grad()
    def add(self, name: str, counts: Tensor) -> None:
        """Add the counts ``(M, K, 2)`` of a batch, see ``Pass.counts``."""
        self._totals[name] = counts + self._totals[name] if name in self else counts

    def scores(self, name: str) -> list[float]:
        """Return the ``M`` scores over all processes; one without samples is NaN."""
        totals = self._totals[name].clone()
        all_reduce(totals)
        return scores_from_counts(totals).tolist()
