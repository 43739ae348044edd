"""Modality-specific early stopping (Fujimori et al., Learning Rate Control, ACPR 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer, GuidedStep, present
from mmcggm.balancers.checks import by_encoder
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MSES(Balancer):
    """Stops an encoder when its modality no longer generalises, and lets the others go on.

    Modalities are learnt as tasks beside the fused one, and each is stopped early on its own:

        ``L = L_task + α Σ_{i not stopped} L_i``, with the losses ``L_i`` of each modality alone

    where ``i`` is stopped for good once its validation score has not exceeded its best for ``patience``
    validations in a row. A stopped encoder gets no gradient, so that momentum and weight decay don't move it
    either. Its weights are those of the last epoch, not of the best; running statistics of batch norm go on.

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

    needs_validation = 'scores'

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
        self._best: list[float] = []
        self._waits: list[int] = []  # validations since the best one
        self._stopped: list[bool] = []

    def observe_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
        """Stop encoders; a score that is NaN (no samples) says nothing."""
        if not self._best:
            self._best = [-math.inf] * len(scores)
            self._waits = [0] * len(scores)
            self._stopped = [False] * len(scores)
        for i, score in enumerate(scores):
            if math.isnan(score):
                continue
            improved = score > self._best[i] + self.min_delta
            self._best[i] = score if improved else self._best[i]
            self._waits[i] = 0 if improved else self._waits[i] + 1
            self._stopped[i] |= self._waits[i] >= self.patience
        self.stats = {'stopped': torch.tensor(self._stopped).float()}

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Return the weighted losses of the modalities that still learn."""
        if not self.active or self.weight == 0:
            return None
        losses = present(step.guided_pass, self).unimodal_losses()
        learning = [
            loss
            for loss, stopped in zip(losses, self._stopped or [False] * len(losses), strict=True)
            if loss is not None and not stopped
        ]
        return self.weight * sum(learning) if learning else None

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        stopped = self._stopped or [False] * len(encoders)
        if not self.active:
            return
        for parameters, is_stopped in by_encoder(self, encoders, stopped):
            for parameter in parameters if is_stopped else ():
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {'best': list(self._best), 'waits': list(self._waits), 'stopped': list(self._stopped)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = list(state_dict['best'])
        self._waits = list(state_dict['waits'])
        self._stopped = list(state_dict['stopped'])
        self.stats = {'stopped': torch.tensor(self._stopped).float()} if self._stopped else {}
