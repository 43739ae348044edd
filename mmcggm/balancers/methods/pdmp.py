"""Performance-Dominant Modality Prioritization, PDMP (Wei et al., 2026, arXiv 2604.05773)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from mmcggm.balancers.balancer import EncoderScaling
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.state import Memory
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class PDMP(EncoderScaling):
    """Speeds up the encoder of the best modality and slows the others: the opposite of balancing, a control.

        ``∇θ_i ← γ_p ∇θ_i`` for the modality that is best alone, ``γ_r ∇θ_i`` for all others

    Which is best the paper finds by trainings of each modality alone (``configs/single``): name it as
    ``dominant``. Otherwise it is the one whose guide has the highest validation score, anew after each
    validation, and all are left alone before the first. Published for any number of modalities and any
    fusion. The paper's text and code could not be had, so the range of its two coefficients is not known
    here, nor whether they change over training. For any task.

    Args:
        dominant: Name of the modality that is best alone, or None.
        gamma_p: γ_p, at least ``gamma_r``.
        gamma_r: γ_r, positive.

    Raises:
        ValueError: If an argument is out of its range.
    """

    best = Memory()  # index by validation

    def __init__(self, dominant: str | None = None, gamma_p: float = 1.5, gamma_r: float = 0.5) -> None:
        super().__init__()
        if not 0 < gamma_r <= gamma_p:
            raise ValueError(
                f'PDMP needs 0 < gamma_r <= gamma_p, got gamma_r={gamma_r} and gamma_p={gamma_p}.'
            )
        self.dominant = dominant
        self.gamma_p = gamma_p
        self.gamma_r = gamma_r
        self.needs = acting_on('gradients', validation='scores' if dominant is None else None)

    def factors(self, seen: Pass) -> Tensor:
        """Return γ.

        Raises:
            ValueError: If no modality has the name of the dominant one.
        """
        like = seen.task_loss.detach()
        best = self._best()
        factors = like.new_full((len(self.modalities),), 1.0 if best is None else self.gamma_r)
        if best is not None:
            factors[best] = self.gamma_p
        self.stats = {'gamma': factors}
        return factors

    def see_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
        """Take the best modality of those that have a score."""
        found = [(score, -index) for index, score in enumerate(scores) if not math.isnan(score)]
        if self.dominant is None and found:
            self.best = -max(found)[1]

    def _best(self) -> int | None:
        if self.dominant is None:
            return self.best
        if self.dominant not in self.modalities:
            raise ValueError(
                f'PDMP: `optim_wrapper.balancer.dominant` must be one of {list(self.modalities)}, got '
                f"'{self.dominant}'."
            )
        return list(self.modalities).index(self.dominant)
