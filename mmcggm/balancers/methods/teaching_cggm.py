"""CGGM whose guides teach their encoders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from mmcggm.balancers.pass_record import Pass, sum_of_present
from mmcggm.balancers.schedule import Schedule
from mmcggm.registry import BALANCERS

from .cggm import CGGM


@BALANCERS.register_module()
class TeachingCGGM(CGGM):
    """CGGM (arXiv 2411.01409) whose guides also teach their encoders. Ours, not the paper's.

    In CGGM guides watch, and an encoder learns from the fused loss alone, however little of that reaches
    it. Here each guide's loss also goes back to its encoder, the more the slower the modality is:

        ``L = L_task + λ L_gm + γ Σ_i w_i L_i``,  ``w_i = max(B_i, 0) M / (M - 1)``

    where the gradient of the last sum reaches the encoders alone; guides train on ``Σ_i L_i`` as ever.
    ``w_i`` is 1 where all modalities progress equally. Of the micro-batches of an update each uses the
    scores summed so far. A modality that the batch lacks teaches nothing.

    The defaults are ours too; ``docs/comparison.md`` has what was measured.

    Args:
        teach: γ, a number or a schedule's points, not negative. At zero this is :class:`CGGM`.
        rho: Of :class:`CGGM`.
        lam: Of :class:`CGGM`.
        progress: Of :class:`CGGM`.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(rho=rho, lam=lam, progress=progress, **kwargs)
        self.teach = Schedule(teach, 'teach')
        if min(self.teach.values) < 0:
            raise ValueError(f'TeachingCGGM needs teach >= 0, got {teach}.')
        self.needs = replace(self.needs, acts_on=self.needs.acts_on | {'loss'})

    def loss_term(self, seen: Pass) -> Tensor | None:
        """Return the direction term and what the guides teach, or None if there is neither."""
        direction = super().loss_term(seen)
        strength = self.teach(self.clock.progress)
        losses = seen.unimodal_losses() if strength > 0 else []
        if all(loss is None for loss in losses):
            return direction
        modalities = len(losses)
        weights = self.terms.clamp(min=0) * modalities / (modalities - 1)
        pairs = zip(weights.unbind(), losses, strict=True)
        lesson = strength * sum_of_present(w * loss for w, loss in pairs if loss is not None)
        return lesson if direction is None else direction + lesson
