"""What a balancing method sees of a training step, and where it may act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class GuidedStep:
    """One forward pass (a micro-batch) of a model with ``M`` guided modalities.

    Every sequence is in the order of the modalities.

    Attributes:
        task_loss: Scalar loss of the fused model, with its graph.
        guide_losses: ``M`` scalar losses of the guides, with their graphs.
        counts: Scores as ratios of sums, shape ``(M, K, 2)``, no gradient: score ``i`` is the mean
            over the ``K`` parts of ``counts[i, :, 0] / counts[i, :, 1]``. Sums of counts over
            micro-batches and processes are the counts of the union of their samples.
        head_weight: ``W``, the weight of the last layer of the fused model's head.
        guide_weights: ``W_i``, the weights of the guides' last layers, each with the shape of ``W``.
    """

    task_loss: Tensor
    guide_losses: Sequence[Tensor]
    counts: Tensor
    head_weight: nn.Parameter
    guide_weights: Sequence[nn.Parameter]


def scores_from_counts(counts: Tensor) -> Tensor:
    """Return the scores ``(M,)`` of ``counts`` ``(M, K, 2)``; parts without samples are left out."""
    seen = counts[..., 1] > 0
    ratios = counts[..., 0] / counts[..., 1].where(seen, torch.ones_like(counts[..., 1]))
    return ratios.where(seen, torch.zeros_like(ratios)).sum(-1) / seen.sum(-1).clamp(min=1)


class Balancer:
    """A strategy that balances the modalities of a model during training; this one does nothing.

    A training step calls :meth:`adjust_loss` once for each micro-batch, between forward and
    backward, and :meth:`adjust_gradients` once for each update, between backward and clipping.

    Attributes:
        active: Whether the method acts. An inactive balancer goes on observing, so that it can be
            switched on in the middle of training.
        stats: What the last step saw, by name: tensors ``(M,)`` with an entry a modality, or scalars.
            They stay on the training device; reading them is what costs a synchronisation.
    """

    def __init__(self) -> None:
        self.active = True
        self.stats: dict[str, Tensor] = {}

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Observe a forward pass; return a term to add to the loss before backward, or None."""

    def adjust_gradients(self, encoders: Sequence[Sequence[nn.Parameter]]) -> None:
        """Change the accumulated gradients in place.

        Args:
            encoders: The parameters of each modality's encoder, in the order of the modalities.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state that a resumed training needs."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` returned."""
