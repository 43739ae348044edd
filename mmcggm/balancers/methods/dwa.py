"""Dynamic Weight Average (Liu, Johns & Davison, CVPR 2019, arXiv 1803.10704)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.state import Memory, UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class DWA(Balancer):
    """Weights the fused and the unimodal losses by how slowly each falls.

    With the mean ``L_k`` of a loss in an epoch, the fused one and those of the ``M`` modalities alone, the
    loss of epoch ``t`` is

        ``Σ_k λ_k L_k``,  ``λ_k = (M + 1) exp(r_k / T) / Σ_j exp(r_j / T)``,
        ``r_k = L_k(t-1) / L_k(t-2)``                                                       (eq. 7)

    and all ``λ_k`` are 1 in the first two epochs: a loss that falls more slowly than the others counts more.
    Published for several tasks of one network, whose tasks are here the fused prediction and those of the
    guides. A unimodal loss is that of a guide, whose gradient reaches the encoder; guides train on their own
    losses as ever. For any task, whose losses must be positive, and any number of modalities. A modality that
    a batch lacks adds nothing; one without a loss in an epoch has ``r_k = 1``.

    Args:
        temperature: T, positive; the published value is 2. The larger it is, the more even the weights.

    Raises:
        ValueError: If ``temperature`` is not positive.
    """

    needs = acting_on('loss', alone=False, epochs=True)
    shown = UpdateSum()  # the losses and how many were added, (2, M + 1)
    epoch = Memory(lambda count: torch.zeros(2, count + 1))  # the same, in the epoch so far
    means = Memory(lambda count: torch.zeros(2, count + 1))  # of the last two epochs; zero for none

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'DWA needs temperature > 0, got {temperature}.')
        self.temperature = temperature

    def loss_term(self, seen: Pass) -> Tensor:
        """Return what makes the task's loss the weighted sum."""
        losses = [seen.task_loss, *seen.unimodal_losses()]
        nothing = seen.task_loss.new_zeros(())
        values = torch.stack([nothing if loss is None else loss.detach() for loss in losses])
        self.shown.add(
            torch.stack([values, values.new_tensor([loss is not None for loss in losses])]).float()
        )
        last, before = self.means
        weights = dwa_weights(last, before, self.temperature)
        self.stats = {'weight': weights[1:]}
        terms = [weight * loss for weight, loss in zip(weights, losses, strict=True) if loss is not None]
        return torch.stack(terms).sum() - seen.task_loss

    def end_update(self) -> None:
        if self.shown.total is not None:
            self.epoch = self.epoch + self.shown.total

    def end_epoch(self) -> None:
        total, number = self.epoch
        self.means = torch.stack([total / number.clamp(min=1), self.means[0]])
        self.epoch = torch.zeros_like(self.epoch)


def dwa_weights(last: Tensor, before: Tensor, temperature: float) -> Tensor:
    """Return ``λ``, of the mean losses of the last epoch and of that before; zero where there was none."""
    ratios = torch.where((last > 0) & (before > 0), last / before, torch.ones_like(last))
    return len(ratios) * torch.softmax(ratios / temperature, 0)
