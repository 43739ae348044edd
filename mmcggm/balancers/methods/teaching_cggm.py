"""CGGM whose guides teach their encoders."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor

from mmcggm.balancers.checks import check_arguments
from mmcggm.balancers.pass_record import Pass, sum_of_present
from mmcggm.balancers.schedule import Schedule
from mmcggm.registry import BALANCERS

from .cggm import CGGM


@BALANCERS.register_module()
class TeachingCGGM(CGGM):
    """CGGM (arXiv 2411.01409) whose guides also teach their encoders. Ours, not the paper's.

    In CGGM guides watch, and an encoder learns from the fused loss alone, however little of it reaches the
    encoder. Here the loss of each guide also goes back to its encoder, with more weight for slower
    modalities:

        ``∇θ_i ← ρ B_i ∂L/∂θ_i + γ w_i ∂L_i/∂θ_i``,  ``w_i = B_i M / (M - 1)``

    with CGGM's ``L = L_task + λ L_gm``; guides train on ``Σ_i L_i`` as ever. ``w_i`` is 1 where all
    modalities progress equally. A modality that the batch lacks teaches nothing.

    The lessons join the loss, so that loss scaling, accumulation and several processes treat them like the
    rest of the loss. The magnitude of CGGM then multiplies them by ``ρ B_i``, too. They are therefore first
    weighted by ``γ M / ((M - 1) ρ)``, which is finite also where ``B_i`` is zero. The scaling turns this into
    ``γ w_i``, with the B of all micro-batches. With ``magnitude='none'`` the weight is ``γ w_i``, from the
    scores so far. A negative B would turn a lesson round, so ``bounds`` keep B from being negative.

    The defaults are ours too; ``docs/comparison.md`` has what was measured.

    Args:
        teach: γ, a number or a schedule's points, not negative. At zero this is :class:`CGGM`.
        rho: Of :class:`CGGM`.
        lam: Of :class:`CGGM`.
        progress: Of :class:`CGGM`.
        bounds: Of :class:`CGGM`, the lower one not negative.
        **kwargs: Of :class:`CGGM`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        teach: float | list[tuple[float, float]] = 1.0,
        rho: float | list[tuple[float, float]] | str = 'neutral',
        lam: float | list[tuple[float, float]] = 0.0,
        progress: dict | str = 'SmoothedProgress',
        bounds: tuple[float, float] = (0.0, math.inf),
        **kwargs: Any,
    ) -> None:
        super().__init__(rho=rho, lam=lam, progress=progress, bounds=bounds, **kwargs)
        self.teach = Schedule(teach, 'teach')
        check_arguments(
            'TeachingCGGM',
            (min(self.teach.values) >= 0, f'teach >= 0, got {teach}'),
            (bounds is not None and bounds[0] >= 0, f'bounds (low, high), low >= 0, got {bounds}'),
        )
        self.needs = replace(self.needs, acts_on=self.needs.acts_on | {'loss'})

    def loss_term(self, seen: Pass) -> Tensor | None:
        """Return the direction term and what the guides teach, or None if there is neither."""
        direction = super().loss_term(seen)
        strength = self.teach(self.clock.progress)
        losses = seen.unimodal_losses() if strength > 0 else []
        if all(loss is None for loss in losses):
            return direction
        share = strength * len(losses) / (len(losses) - 1)
        if self.magnitude == 'none':
            pairs = zip(self.terms.unbind(), losses, strict=True)
            lesson = share * sum_of_present(term * loss for term, loss in pairs if loss is not None)
        else:
            lesson = share / self._rho() * sum_of_present(losses)  # to be scaled by ρ B
        return lesson if direction is None else direction + lesson
