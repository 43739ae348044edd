"""Progress Δ of each guide, from the scores that it reached."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mmcggm.registry import BALANCERS


class Progress(ABC):
    """How fast each modality's guide improves.

    The state is a tensor ``(S, M)`` that starts at zero, as the paper's ``ε^0 = 0`` does. It belongs to
    the balancer: with gradient accumulation the scores of an update grow with each micro-batch, and
    only the last ones are committed.
    """

    state_size: int

    def measure(self, scores: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return progress ``(M,)`` for ``scores`` ``(M,)``, and the state that follows ``state``."""
        state = scores.new_zeros(self.state_size, len(scores)) if state is None else state.to(scores)
        return self._measure(scores, state)

    @abstractmethod
    def _measure(self, scores: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return progress and the new state, leaving ``state`` as it is."""


@BALANCERS.register_module()
class StepProgress(Progress):
    """The paper's progress: ``Δ_i = ε_i^t - ε_i^(t-1)`` with ``ε_i^0 = 0`` (arXiv 2411.01409)."""

    state_size = 1

    def _measure(self, scores: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return scores - state[0], scores.unsqueeze(0)


@BALANCERS.register_module()
class SmoothedProgress(Progress):
    """The distance of a fast and a slow exponential mean of the score, bounded from below.

    ``Δ_i = max(fast_i - slow_i, floor)``. The difference of two single batches' scores is mostly
    noise; this is ours, not the paper's. Since Δ is positive, the balancing term is in [0, 1]. The means
    start at zero: made for scores that rise from there, such as accuracy and Dice.

    Args:
        fast: Decay of the fast mean, in [0, 1).
        slow: Decay of the slow mean, in (fast, 1).
        floor: Smallest progress, positive, in units of the score.
    """

    state_size = 2

    def __init__(self, fast: float = 0.95, slow: float = 0.99, floor: float = 0.005) -> None:
        if not 0 <= fast < slow < 1:
            raise ValueError(f'SmoothedProgress needs 0 <= fast < slow < 1, got fast={fast} and slow={slow}.')
        if floor <= 0:
            raise ValueError(f'SmoothedProgress needs a positive floor, got {floor}.')
        self.decays = (fast, slow)
        self.floor = floor

    def _measure(self, scores: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        means = torch.stack([d * mean + (1 - d) * scores for d, mean in zip(self.decays, state, strict=True)])
        return (means[0] - means[1]).clamp(min=self.floor), means
