"""Multi-loss: each encoder also learns from its own modality's loss, a baseline of many comparisons."""

from __future__ import annotations

from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sum_of_present
from mmcggm.balancers.schedule import Schedule
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MultiLoss(Balancer):
    """Adds the loss of each modality alone to the loss of the fused model.

        ``L = L_task + weight Σ_i L_i``

    where ``L_i`` is the loss of guide ``i``, whose gradient reaches the encoder; guides train on their own
    losses as ever. This is the baseline in the comparison of MCR (Kontras et al., NeurIPS 2025, arXiv
    2411.07335), which most balancing methods do not beat. Beside another method, it adds lessons from the
    guides: ``balancer=[dict(type='OGM'), dict(type='MultiLoss')]``. For any task and number of modalities;
    one that the batch lacks adds nothing.

    Args:
        weight: A number or a schedule's points, not negative.

    Raises:
        ValueError: If ``weight`` is negative.
    """

    needs = acting_on('loss', alone=False)

    def __init__(self, weight: float | list[tuple[float, float]] = 1.0) -> None:
        super().__init__()
        self.weight = Schedule(weight, 'weight')
        if min(self.weight.values) < 0:
            raise ValueError(f'MultiLoss needs weight >= 0, got {weight}.')

    def loss_term(self, seen: Pass) -> Tensor | None:
        weight = self.weight(self.clock.progress)
        losses = seen.unimodal_losses() if weight > 0 else []
        return None if all(loss is None for loss in losses) else weight * sum_of_present(losses)
