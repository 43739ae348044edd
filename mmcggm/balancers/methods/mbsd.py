"""Multimodal self-distillation (MBSD, Liu et al., WSDM 2023, doi 10.1145/3539597.3570423)."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sample_logits, sum_of_present
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MBSD(Balancer):
    """Lets the modality that predicts a sample better teach the other, sample by sample.

    With the logits ``z`` and probabilities ``p`` of two modalities' guides, ``s`` the one that gives
    more to the truth ``y`` and ``w`` the other, the loss gains

        ``L_1 + L_2 + mean_n ω ( KL(p_s ‖ p_w) + (1/C) ‖z_s - z_w‖² )``,  ``ω = p_s(y) - p_w(y)``,

    and ``ω = 0`` where neither is right. The stronger one's ``p_s`` and ``ω`` are constants.

    The paper names the strategy and is not freely available; the terms are those of BalanceBenchmark
    (arXiv 2502.10816), whose code has a Kullback-Leibler divergence of the two numbers ``p(y)``, without
    the logarithm of one; here the divergence compares the distributions. For more than two modalities it is
    the mean over the pairs, as there. There the logits come from the fused linear layer, split by modality.
    Here they come from the guides, which learn from their own losses alone. For classification with
    one label a sample.

    Distillation can outgrow the task: with the published weight its gradient grew to 2.4 to 3.4 times the
    task's in this project's comparison.

    Args:
        weight: Of the distillation, not negative; the published value is 1.

    Raises:
        ValueError: If ``weight`` is negative.
    """

    needs = acting_on('loss', alone=False)

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f'MBSD needs weight >= 0, got {weight}.')
        self.weight = weight

    def loss_term(self, seen: Pass) -> Tensor:
        labels = seen.labels()
        # A modality that the batch lacks neither teaches nor learns.
        logits = [sample_logits(z) for z in seen.predictions() if z is not None]
        loss = sum_of_present(seen.unimodal_losses())
        if len(logits) < 2:
            return loss
        pairs = list(combinations(logits, 2))
        distances = [distil(first, second, labels) for first, second in pairs]
        distillation = sum_of_present(distances) / len(pairs)
        self.stats = {'distillation': distillation.detach()}
        return loss + self.weight * seen.at_encoders(distillation)


def distil(first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    """Return ``mean_n ω (KL(p_s ‖ p_w) + (1/C) ‖z_s - z_w‖²)``, a scalar.

    Args:
        first: Logits ``(N, C)`` of one modality.
        second: Of the other; the order doesn't matter.
        labels: ``(N,)``.
    """
    logits = torch.stack([first, second])
    truth = logits.detach().softmax(2)[:, torch.arange(len(labels), device=labels.device), labels]  # (2, N)
    one_is_right = (logits.argmax(2) == labels).any(0)
    weights = (truth[0] - truth[1]).abs() * one_is_right
    swapped = (truth[1] > truth[0]).unsqueeze(1)
    strong, weak = torch.where(swapped, second, first), torch.where(swapped, first, second)
    learnt, taught = weak.log_softmax(1), strong.detach().log_softmax(1)
    divergence = F.kl_div(learnt, taught, reduction='none', log_target=True).sum(1)
    return (weights * (divergence + (strong - weak).square().mean(1))).mean()
