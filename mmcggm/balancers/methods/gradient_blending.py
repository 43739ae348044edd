"""Gradient-Blending (Wang, Tran & Feiszli, CVPR 2020, arXiv 1905.12681)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer, GuidedStep, over_processes, present, scores_from_counts
from mmcggm.balancers.overflow import committed
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
    code takes weights as given); here the losses are those of the blended training itself, ``T`` the
    mean over the passes since the last validation. A loss that did not generalise weighs nothing, since
    a negative weight would raise it; overfitting below ``tolerance`` counts as that. The guides' own
    weights learn from ``L_k`` at their own rate, unweighted.

    Limits: needs GuideScoreHook, unless ``weights`` are given. ``V`` of the fused model is the task's loss
    of the head's output, so auxiliary losses of the model are in ``T`` alone.

    Args:
        weights: The ``w_k``, in the order of the modalities, the fused model's last; or None to estimate.
        super_epoch: Validations between estimates.
        online: Whether to estimate more than once.
        tolerance: The least overfitting, in units of the loss.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        weights: Sequence[float] | None = None,
        super_epoch: int = 10,
        online: bool = True,
        tolerance: float = 1e-2,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        if weights is not None and not (min(weights) >= 0 and max(weights) > 0):
            raise ValueError(f'GradientBlending needs weights >= 0, one above zero, got {weights}.')
        if super_epoch < 1:
            raise ValueError(f'GradientBlending needs super_epoch >= 1, got {super_epoch}.')
        if tolerance <= 0:
            raise ValueError(f'GradientBlending needs tolerance > 0, got {tolerance}.')
        self.estimates = weights is None
        self.needs_validation = 'losses' if self.estimates else None
        self.super_epoch = super_epoch
        self.online = online
        self.tolerance = tolerance
        self.process_group = process_group
        self._weights: list[float] | None = None
        if weights is not None:
            self._set_weights(weights)
        self._start: Tensor | None = None  # T and V at the start of the super-epoch, (2, M + 1)
        self._validations = 0  # since the first
        # Training losses since the last validation, and their number, (M + 1, 2); of the update under way.
        self._sums: Tensor | None = None
        self._pending: Tensor | None = None

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Return what makes the task's loss the blend; observe the training losses."""
        guided_pass = present(step.guided_pass, self)
        if not (self.active or self.estimates):
            return None
        losses = [*guided_pass.unimodal_losses(), guided_pass.task_loss()]
        if self.estimates:
            self._observe(losses)
        if self._weights is None:
            self._set_weights([1 / len(losses)] * len(losses))
        if len(self._weights) != len(losses):
            raise ValueError(
                f'`optim_wrapper.balancer.weights` has {len(self._weights)} entries for {len(losses)} '
                "losses: one a modality and, last, the fused model's."
            )
        if not self.active:
            return None
        blend = sum(w * loss for w, loss in zip(self._weights, losses, strict=True) if loss is not None)
        return blend - losses[-1]

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        """Commit the training losses of this update."""
        if self._pending is None:
            return
        seen, self._pending = committed(self._pending, None, overflow), None
        self._sums = seen if self._sums is None else self._sums.to(seen) + seen

    def observe_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
        """Estimate the weights, if it is time.

        Raises:
            ValueError: If ``losses`` are missing.
        """
        if not self.estimates or self._sums is None:
            return
        if losses is None:
            raise ValueError('GradientBlending estimates its weights from validation losses: give `losses`.')
        training = scores_from_counts(self._sums.unsqueeze(1)).double().cpu()
        now = torch.stack([training, torch.tensor(losses, dtype=torch.float64)])
        self._sums = None
        if self._start is None:
            self._start = now
            return
        self._validations += 1
        if self._validations % self.super_epoch or (self._validations > self.super_epoch and not self.online):
            return
        weights = blend_weights(self._start, now, self.tolerance)
        self.count_event('no loss generalised, weights kept', weights.isnan().any())
        if not weights.isnan().any():
            self._set_weights(weights.tolist())
        self._start = now

    def state_dict(self) -> dict[str, Any]:
        if not self.estimates:
            return {}
        return {
            'weights': self._weights,
            'start': self._start,
            'validations': self._validations,
            'sums': self._sums,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._pending = None
        if not self.estimates:
            return
        self._start, self._sums = state_dict['start'], state_dict['sums']
        self._validations = state_dict['validations']
        if state_dict['weights'] is not None:
            self._set_weights(state_dict['weights'])

    def _set_weights(self, weights: Sequence[float]) -> None:
        self._weights = [float(weight) for weight in weights]
        found = torch.tensor(self._weights)
        self.stats = {'w': found[:-1], 'w_fused': found[-1]}

    def _observe(self, losses: Sequence[Tensor | None]) -> None:
        """Add the losses of a pass to those of the update; one that is missing or not finite is left out."""
        missing = torch.full_like(losses[-1], torch.nan)
        found = torch.stack([(missing if loss is None else loss).detach().float() for loss in losses])
        seen = found.isfinite()
        counts = torch.stack([found.where(seen, torch.zeros_like(found)), seen.float()], dim=1)
        counts = over_processes(counts, self.process_group)
        self._pending = counts if self._pending is None else self._pending + counts


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
