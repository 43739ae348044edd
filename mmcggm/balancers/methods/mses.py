"""Modality-specific early stopping (Fujimori et al., Learning Rate Control, ACPR 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sum_of_present
from mmcggm.balancers.state import Memory
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MSES(Balancer):
    """Stops an encoder when its modality no longer generalises, and lets the others go on.

    Modalities are learnt as tasks beside the fused one, and each is stopped early on its own:

        ``L = L_task + α Σ_{i not stopped} L_i``, with the losses ``L_i`` of each modality alone

    where ``i`` is stopped for good once its validation score has not exceeded its best for ``patience``
    validations in a row. A stopped encoder gets no gradient, so that momentum and weight decay don't move it
    either. It keeps the weights of the last epoch, not of the best one; running statistics of batch norm go
    on.

    For any number of modalities and any task with scores. The modalities' classifiers are the guides, which
    learn at their own rate and are not stopped. This follows the paper's abstract ("Modality-Specific
    Learning Rate Control for Multimodal Classification"), the authors' code not being found: equal weights,
    the score as what is watched, and the patience are ours. Needs GuideScoreHook.

    Args:
        weight: α, not negative; zero stops encoders of otherwise joint training.
        patience: Validations without improvement that stop an encoder.
        min_delta: What a score must gain to have improved.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = acting_on('loss', 'gradients', alone=False, validation='scores')
    best = Memory(lambda count: [-math.inf] * count)
    waits = Memory(lambda count: [0] * count)  # validations since the best one
    stopped = Memory(lambda count: [False] * count)

    def __init__(self, weight: float = 1.0, patience: int = 3, min_delta: float = 0.0) -> None:
        super().__init__()
        for name, value, low in (
            ('weight', weight, 0),
            ('patience', patience, 1),
            ('min_delta', min_delta, 0),
        ):
            if value < low:
                raise ValueError(f'MSES needs {name} >= {low}, got {value}.')
        self.weight = weight
        self.patience = patience
        self.min_delta = min_delta

    def observe(self, seen: Pass) -> None:
        self.stats = {'stopped': torch.tensor(self.stopped).float()}

    def loss_term(self, seen: Pass) -> Tensor | None:
        """Return the weighted losses of the modalities that still learn."""
        if self.weight == 0:
            return None
        losses = zip(seen.unimodal_losses(), self.stopped, strict=True)
        learning = [loss for loss, stopped in losses if loss is not None and not stopped]
        return self.weight * sum_of_present(learning) if learning else None

    def change_gradients(self) -> None:
        """Let the encoders that are stopped rest."""
        for parameters, stopped in zip(self.encoders, self.stopped, strict=True):
            for parameter in parameters if stopped else ():
                parameter.grad = None

    def see_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
        """Stop encoders; a score that is NaN (no samples) says nothing."""
        news = [self._judged(*each) for each in zip(scores, self.best, self.waits, self.stopped, strict=True)]
        self.best, self.waits, self.stopped = (list(column) for column in zip(*news, strict=True))

    def _judged(self, score: float, best: float, waits: int, stopped: bool) -> tuple[float, int, bool]:
        """Return a modality's best score, waits, and whether it is stopped, after a validation."""
        if math.isnan(score):
            return best, waits, stopped
        improved = score > best + self.min_delta
        waits = 0 if improved else waits + 1
        return score if improved else best, waits, stopped or waits >= self.patience
