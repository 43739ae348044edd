"""MIMO: a penalty on the worst unimodal loss (Fernando et al., 2025, arXiv 2511.06686)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sum_of_present
from mmcggm.balancers.state import UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MIMO(Balancer):
    """Adds the largest of the unimodal losses, smoothed, so that the modality that is behind learns most.

        ``L = L_task + λ/μ log Σ_i exp(μ L_i)``,
        so that ``∇θ_i`` gains ``λ w_i ∂L_i/∂θ_i`` with ``w = softmax(μ L)``

    with the loss ``L_i`` of guide ``i``, whose gradient reaches the encoder. It is multi-loss whose weights
    sum to λ and go to the modalities that are worst: with a small μ to all alike, with a large one to the
    worst alone, which is minimax.

    The paper states multimodal learning as an optimization with several objectives, and solves it by
    gradients of a modified loss. Its text and code could not be had: this form, a penalty on a smooth
    maximum, is inferred from reports of it. ``L_i`` in the weights are means over the micro-batches of an
    update so far, and over processes. For any task; a modality that the batch lacks is left out.

    Args:
        lam: λ, positive.
        mu: μ, positive, in units of one over the loss.

    Raises:
        ValueError: If an argument is not positive.
    """

    needs = acting_on('loss', alone=False)
    losses = UpdateSum()  # of the modalities, and how many passes had them, (2, M)

    def __init__(self, lam: float = 1.0, mu: float = 1.0) -> None:
        super().__init__()
        if lam <= 0 or mu <= 0:
            raise ValueError(f'MIMO needs lam > 0 and mu > 0, got lam={lam} and mu={mu}.')
        self.lam = lam
        self.mu = mu

    def loss_term(self, seen: Pass) -> Tensor:
        found = seen.unimodal_losses()
        zero = seen.task_loss.detach().new_zeros(())
        values = torch.stack([zero if loss is None else loss.detach() for loss in found])
        there = torch.tensor([loss is not None for loss in found], device=values.device).to(values)
        self.losses.add(torch.stack([values, there]))
        sums, counts = self.losses.total
        means = (sums / counts.clamp(min=1)).masked_fill(counts == 0, -torch.inf)
        weights = (self.mu * means).softmax(0)
        self.stats = {'weight': weights}
        term = self.lam * sum_of_present(
            w * loss for w, loss in zip(weights, found, strict=True) if loss is not None
        )
        smooth_maximum = self.lam / self.mu * (self.mu * means).logsumexp(0)
        return smooth_maximum + term - term.detach()
