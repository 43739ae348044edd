"""Gradient-Blending (Wang, Tran & Feiszli, CVPR 2020, arXiv 1905.12681)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sum_of_present
from mmcggm.balancers.state import Memory
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class GradientBlending(Balancer):
    """Weights the losses of the modalities and of the fused model by how they generalise.

    ``L = Σ_k w_k L_k``, where ``k`` is each modality alone and, last, the fused model. Over a super-epoch,
    from training losses ``T`` and validation losses ``V``,

        ``G_k = V_k(start) - V_k(end)``                                  generalisation
        ``O_k = (V_k - T_k)(end) - (V_k - T_k)(start)``                  overfitting
        ``w_k = G_k / O_k² / Σ_j G_j / O_j²``                            (proposition 1, algorithm 1)

    which minimises the squared ratio of overfitting to generalisation of the blend, if the losses overfit
    independently. Weights are estimated

    - online, after every super-epoch; the first has equal weights;
    - or once, after the first super-epoch, ``online=False``;
    - or elsewhere, and given: the paper's offline variant, for example with :func:`blend_weights` and the
      losses of trainings of each modality alone and of the fused model.

    For any number of modalities, as published. Departures: the paper estimates with a copy of the model for
    each loss, trained on it alone for a super-epoch, ``M + 1`` times the price of training (its published
    code takes weights as given); here the losses are those of the blended training itself. ``T`` and ``V``
    are of the same weights: both ends of a super-epoch take one more pass through the training set, without
    gradient and with its augmentation. A loss that did not generalise weighs nothing, since
    a negative weight would raise it; overfitting below ``tolerance`` counts as ``tolerance``. The guides' own
    weights learn from ``L_k`` at their own rate, unweighted.

    Limits: needs GuideScoreHook, unless ``weights`` are given. ``V`` of the fused model is the task's loss
    of the head's output, so auxiliary losses of the model are in ``T`` alone.

    Args:
        weights: The ``w_k``, in the order of the modalities, the fused model's last; or None to estimate.
        super_epoch: Validations between estimates.
        online: Whether to estimate more than once.
        tolerance: The least overfitting, in units of the loss.

    Raises:
        ValueError: If an argument is out of its range.
    """

    start = Memory()  # T and V at the start of the super-epoch, (2, M + 1)
    validations = Memory(0)  # since the first
    weights = Memory()  # estimated

    def __init__(
        self,
        weights: Sequence[float] | None = None,
        super_epoch: int = 10,
        online: bool = True,
        tolerance: float = 1e-2,
    ) -> None:
        super().__init__()
        if weights is not None and not (min(weights) >= 0 and max(weights) > 0):
            raise ValueError(f'GradientBlending needs weights >= 0, one above zero, got {weights}.')
        if super_epoch < 1:
            raise ValueError(f'GradientBlending needs super_epoch >= 1, got {super_epoch}.')
        if tolerance <= 0:
            raise ValueError(f'GradientBlending needs tolerance > 0, got {tolerance}.')
        self.given = None if weights is None else [float(weight) for weight in weights]
        self.estimates = weights is None
        self.needs = acting_on('loss', validation='losses' if self.estimates else None)
        self.super_epoch = super_epoch
        self.online = online
        self.tolerance = tolerance

    def loss_term(self, seen: Pass) -> Tensor:
        """Return what makes the task's loss the blend."""
        losses = [*seen.unimodal_losses(), seen.task_loss]
        weights = self.weights or self.given or [1 / len(losses)] * len(losses)
        if len(weights) != len(losses):
            raise ValueError(
                f'`optim_wrapper.balancer.weights` has {len(weights)} entries for {len(losses)} '
                "losses: one a modality and, last, the fused model's."
            )
        self.stats = {'w': torch.tensor(weights[:-1]), 'w_fused': torch.tensor(weights[-1])}
        pairs = zip(weights, losses, strict=True)
        blend = sum_of_present(w * loss for w, loss in pairs if loss is not None)
        return blend - seen.task_loss

    def see_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
        """Estimate the weights, if it is time.

        Raises:
            ValueError: If ``losses`` are missing, or nobody tells those of the training set.
        """
        if not self.estimates:
            return
        if self.start is None:
            self.start = self._now(losses)
            return
        self.validations += 1
        if self.validations % self.super_epoch or (self.validations > self.super_epoch and not self.online):
            return
        now = self._now(losses)
        weights = blend_weights(self.start.cpu(), now, self.tolerance)
        self.count_event('no loss generalised, weights kept', weights.isnan().any())
        if not weights.isnan().any():
            self.weights = weights.tolist()
        self.start = now

    def _now(self, losses: Sequence[float] | None) -> Tensor:
        """Return T and V of the weights as they are, ``(2, M + 1)``."""
        if losses is None or self.training.training_losses is None:
            raise ValueError(
                'GradientBlending estimates its weights from validation and training losses: give `losses`, '
                'and attach it to a Training with `training_losses`.'
            )
        return torch.tensor([self.training.training_losses(), list(losses)], dtype=torch.float64)


def blend_weights(start: Tensor, end: Tensor, tolerance: float = 1e-2) -> Tensor:
    """Return the weights ``(K,)`` of ``K`` losses, see :class:`GradientBlending`; they sum to one.

    Args:
        start: Training losses and validation losses at the start, ``(2, K)``.
        end: The same at the end.
        tolerance: The least overfitting.

    Returns:
        The weights, zero for a loss that did not generalise or is not finite; NaN if none generalised.
    """
    generalised = start[1] - end[1]
    overfitted = (end[1] - end[0]) - (start[1] - start[0])
    merits = generalised.clamp(min=0) / overfitted.abs().clamp(min=tolerance) ** 2
    merits = merits.nan_to_num(nan=0.0, posinf=0.0)
    return merits / merits.sum()
