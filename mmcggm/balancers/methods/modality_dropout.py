"""Modality dropout (ModDrop: Neverova et al., TPAMI 2016, arXiv 1501.00102)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.dropping import dropping
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Change
from mmcggm.balancers.training import Training
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class ModalityDropout(Balancer):
    """Leaves out modalities at random, sample by sample, so that fusion learns to do without any of them.

    The representation of modality ``i`` becomes zero on its way into fusion with probability ``p_i``, for
    each sample on its own. A sample that would lose all of its modalities keeps one, drawn evenly from those
    that it has. Nothing is rescaled: what is left out is absent, as in a patient who lacks a sequence.
    Predictions use all that is there.

    The paper drops inputs, after each encoder was trained alone; here representations are dropped, in any
    part of a training. What samples lack is known where ``GuidedModel(present=)`` tells. For any task.

    Args:
        p: Probability for all modalities, or one for each, in their order; in [0, 1).

    Raises:
        ValueError: If a probability is out of its range, or there isn't one for each modality.
    """

    needs = acting_on('representations')

    def __init__(self, p: float | Sequence[float] = 0.3) -> None:
        super().__init__()
        values = [p] if isinstance(p, (int, float)) else list(p)
        if not values or not all(0 <= value < 1 for value in values):
            raise ValueError(f'ModalityDropout needs p in [0, 1), got {p}.')
        self.p = p

    def attach(self, training: Training) -> None:
        count = len(training.modalities)
        if not isinstance(self.p, (int, float)) and len(self.p) != count:
            raise ValueError(f'`optim_wrapper.balancer.p` has {len(self.p)} entries for {count} modalities.')
        super().attach(training)

    def changes(self) -> Mapping[int, Change]:
        """Return what drops; all modalities of a pass share one draw."""
        count = len(self.modalities)
        p = torch.tensor([self.p] * count if isinstance(self.p, (int, float)) else list(self.p))
        return dropping(p)
