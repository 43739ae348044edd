"""Uni-Modal Teacher (Du et al., ICML 2023, arXiv 2305.01233)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sum_of_present
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class UMT(Balancer):
    """Teaches each encoder the representation that it would have learnt alone.

    A teacher is the frozen encoder of a training of its modality alone. With its representation
    ``t_i`` of the batch, the loss is

        ``L = L_task + λ Σ_i MSE(h_i, t_i)``

    for any number of modalities, as published. Representations are compared as vectors, averaged over
    positions: the paper fuses late, where they are vectors. For every task.

    It needs ``model.teachers``, the checkpoints of a training of each modality alone
    (``only`` of :class:`~mmcggm.guided.GuidedModel`); a modality without one is not taught.

    Args:
        lam: λ, positive.

    Raises:
        ValueError: If ``lam`` is not positive.
    """

    needs = acting_on('loss', alone=False, teachers=True)

    def __init__(self, lam: float = 10.0) -> None:
        super().__init__()
        if lam <= 0:
            raise ValueError(f'UMT needs lam > 0, got {lam}.')
        self.lam = lam

    def loss_term(self, seen: Pass) -> Tensor:
        distances = [
            seen.task_loss.new_zeros(())
            if own is None or taught is None
            else F.mse_loss(own.to(taught.dtype), taught)
            for own, taught in zip(seen.vectors(), seen.teachers(), strict=True)
        ]
        self.stats = {'distance': torch.stack(distances).detach()}
        return self.lam * sum_of_present(distances)
