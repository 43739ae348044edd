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
        """Return progress ``(M,)`` for ``scores`` ``(M,)``, and the state that follows ``state``.

        The state of a modality whose score is not finite, for example since the batch lacks it, stays.

        Raises:
            ValueError: If ``state`` has another shape than ``(S, M)``.
        """
        shape = (self.state_size, len(scores))
        state = scores.new_zeros(shape) if state is None else state.to(scores)
        if state.shape != shape:
            raise ValueError(
                f'{type(self).__name__} has a state of shape {shape}, but that of the checkpoint has '
                f'{tuple(state.shape)}: resume with the `progress` and the version that it was trained with.'
            )
        finite = scores.isfinite()
        after = self._absorb(scores.where(finite, torch.zeros_like(scores)), state).where(finite, state)
        return self._progress(after, state), after

    @abstractmethod
    def _absorb(self, scores: Tensor, state: Tensor) -> Tensor:
        """Return the state after finite ``scores``, leaving ``state`` as it is."""

    @abstractmethod
    def _progress(self, state: Tensor, before: Tensor) -> Tensor:
        """Return progress ``(M,)`` from the state, and that before it absorbed the scores."""


@BALANCERS.register_module()
class StepProgress(Progress):
    """The paper's progress: ``Δ_i = ε_i^t - ε_i^(t-1)`` with ``ε_i^0 = 0`` (arXiv 2411.01409)."""

    state_size = 1

    def _absorb(self, scores: Tensor, state: Tensor) -> Tensor:
        return scores.unsqueeze(0)

    def _progress(self, state: Tensor, before: Tensor) -> Tensor:
        return state[0] - before[0]


@BALANCERS.register_module()
class SmoothedProgress(Progress):
    """The distance of a fast and a slow exponential mean of the score, bounded from below.

    The difference of two single batches' scores is mostly noise; this is ours, not the paper's:

        ``Δ_i = max((fast_i - slow_i) / c, floor)``,  ``c = (1/M) Σ_k mean |ε_k^t - ε_k^(t-1)|``

    The unit ``c`` is how much scores change from update to update, which is mostly chance. All modalities
    share it, so B compares their progress in units of the score. B stays the same if all scores are
    multiplied by one number, or shifted by one: accuracy, Dice and a negative loss of any size need no floor
    of their own. Since Δ is positive, B is in [0, 1].

    The means are taken over the scores so far, weighted by ``decay^age`` and divided by the sum of the
    weights. They therefore do not begin at zero. Scores that stand still give ``Δ_i = floor`` (the neutral B)
    from the first one on, and B follows slopes wherever scores begin.

    Args:
        fast: Decay of the fast mean, in [0, 1).
        slow: Decay of the slow mean and of the mean in ``c``, in (fast, 1). Where a rise has ended, B still
            reflects it for some ``1 / (1 - slow)`` updates.
        floor: Smallest progress, positive, in units of ``c``. Where scores stand still, the distance of the
            means strays by 0.1 of them with the default decays; twice that keeps B neutral there.
    """

    state_size = 6

    def __init__(self, fast: float = 0.95, slow: float = 0.99, floor: float = 0.2) -> None:
        if not 0 <= fast < slow < 1:
            raise ValueError(f'SmoothedProgress needs 0 <= fast < slow < 1, got fast={fast} and slow={slow}.')
        if floor <= 0:
            raise ValueError(f'SmoothedProgress needs a positive floor, got {floor}.')
        self.fast, self.slow = fast, slow
        self.floor = floor

    def _absorb(self, scores: Tensor, state: Tensor) -> Tensor:
        fast, fast_weight, slow, slow_weight, last, change = state
        new_change = (scores - last).abs().where(slow_weight > 0, torch.zeros_like(scores))
        change, _ = updated_mean(change, slow_weight, new_change, self.slow)
        fast, fast_weight = updated_mean(fast, fast_weight, scores, self.fast)
        slow, slow_weight = updated_mean(slow, slow_weight, scores, self.slow)
        return torch.stack([fast, fast_weight, slow, slow_weight, scores, change])

    def _progress(self, state: Tensor, before: Tensor) -> Tensor:
        fast, _, slow, slow_weight, _, change = state
        info = torch.finfo(state.dtype)
        rounding = info.eps * slow_weight * slow.abs()  # how far from its limit a mean stops
        distance = fast - slow
        distance = distance.where(distance > rounding, torch.zeros_like(distance))
        return (distance / change.mean().clamp(min=info.tiny)).clamp(min=self.floor)


@BALANCERS.register_module()
class LevelProgress(Progress):
    """The level of the scores instead of progress: a modality with a weaker guide has a larger B.

        ``Δ = softmax(mean / temperature)``,  so that  ``B_i = 1 - Δ_i``

    with an exponential mean of each score, free of bias as in :class:`SmoothedProgress`. A modality that is
    ``temperature`` below another has a Δ that is e times smaller. Only differences of scores count, so it
    doesn't matter which sign they have, where a ratio of scores would have a pole. Ours, not the paper's.

    Args:
        decay: Of the means, in [0, 1).
        temperature: Positive, in units of the score. The default is for scores in [0, 1]: accuracies of
            0.75 and 0.55 give B of 0.40 and 0.60. For losses, take how far apart they are.
    """

    state_size = 2

    def __init__(self, decay: float = 0.95, temperature: float = 0.5) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f'LevelProgress needs 0 <= decay < 1, got {decay}.')
        if temperature <= 0:
            raise ValueError(f'LevelProgress needs a positive temperature, got {temperature}.')
        self.decay = decay
        self.temperature = temperature

    def _absorb(self, scores: Tensor, state: Tensor) -> Tensor:
        return torch.stack(updated_mean(state[0], state[1], scores, self.decay))

    def _progress(self, state: Tensor, before: Tensor) -> Tensor:
        mean, weight = state
        seen = weight > 0
        # A modality that no batch had yet stands where the others do in the mean.
        middle = mean.where(seen, torch.zeros_like(mean)).sum() / seen.sum().clamp(min=1)
        return (mean.where(seen, middle) / self.temperature).softmax(0)


def updated_mean(mean: Tensor, weight: Tensor, value: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    """Return the mean of all values so far, weighted by ``decay^age``, and the sum of its weights.

    Both start at zero. The mean of values that are all the same is that value, to the last bit.
    """
    weight = 1 + decay * weight
    return mean + (value - mean) / weight, weight
