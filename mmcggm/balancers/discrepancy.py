"""How much better a modality predicts than the others: OGM's discrepancy ratio (arXiv 2203.15332)."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from .balancer import Balancer, GuidedStep, mean_of_others, over_processes, present


class ConfidenceSums:
    """The sums ``s`` ``(M,)`` of the probabilities that guides give to the truth, over an update.

    They run over its micro-batches and over the processes; zero for a modality that no batch has.

    Args:
        process_group: The processes that train together. Default: all, if distributed.
    """

    def __init__(self, process_group: dist.ProcessGroup | None) -> None:
        self.process_group = process_group
        self._sums: Tensor | None = None

    def add(self, step: GuidedStep, balancer: Balancer) -> None:
        """Add those of a pass."""
        found = present(step.guided_pass, balancer).confidences()
        sums = torch.stack([step.task_loss.new_zeros(()) if c is None else c.sum() for c in found])
        sums = over_processes(sums.detach(), self.process_group)
        self._sums = sums if self._sums is None else self._sums + sums

    def take(self) -> Tensor | None:
        """Return the sums, None if nothing was added, and begin anew."""
        sums, self._sums = self._sums, None
        return sums


def discrepancy_ratios(sums: Tensor) -> Tensor:
    """Return ``r_i`` ``(M,)`` for the sums ``s_i`` ``(M,)`` of probabilities.

    A modality without a sum is left out of the means; one that has no other to compare with has ``r_i = 1``.
    """
    others = mean_of_others(sums, counted=sums > 0)
    return torch.where(others > 0, sums / others, torch.ones_like(sums))
