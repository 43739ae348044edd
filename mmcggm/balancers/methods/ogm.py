"""On-the-fly Gradient Modulation (Peng et al., CVPR 2022, arXiv 2203.15332)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer, GuidedStep
from mmcggm.balancers.checks import by_encoder
from mmcggm.balancers.discrepancy import ConfidenceSums, discrepancy_ratios
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class OGM(Balancer):
    """Slows the encoders whose modality predicts better than the others.

    With the batch's sum ``s_i`` of the probabilities that modality ``i`` gives to the truth, and the
    discrepancy ratio ``r_i = s_i / mean_{k≠i} s_k``, the encoder's gradient is scaled by

        ``k_i = 1 - tanh(α r_i)`` if ``r_i > 1``, else 1                                    (eq. 9, 10)

    OGM-GE adds Gaussian noise to it, whose deviation is that of the entries before they were scaled, as in
    the authors' code.

    The paper has two modalities, for which ``r_i`` is the ratio of the two sums; the mean over the
    others is the generalisation here. It takes ``s_i`` from the fused linear layer, split by modality;
    here the guides give it, so that any fusion will do. For tasks with probabilities.

    Args:
        alpha: α, positive.
        enhance: Whether to add noise (GE), to weights of two or more axes, as published for
            convolutions.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If ``alpha`` is not positive.
    """

    def __init__(
        self, alpha: float = 0.1, enhance: bool = True, process_group: dist.ProcessGroup | None = None
    ) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f'OGM needs alpha > 0, got {alpha}.')
        self.alpha = alpha
        self.enhance = enhance
        self._confidence = ConfidenceSums(process_group)

    def adjust_loss(self, step: GuidedStep) -> None:
        """Add up the probabilities of the truth over the micro-batches of the update."""
        self._confidence.add(step, self)

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        sums = self._confidence.take()
        coefficients = ogm_coefficients(sums, self.alpha)
        self.stats = {'k': coefficients, 'confidence': sums}
        if not self.active:
            return
        for parameters, coefficient in by_encoder(self, encoders, coefficients):
            for grad in (p.grad for p in parameters if p.grad is not None):
                noisy = self.enhance and grad.ndim > 1
                deviation = grad.std() if noisy else None
                grad.mul_(coefficient)
                if noisy:
                    grad.add_(torch.randn_like(grad) * deviation)


def ogm_coefficients(sums: Tensor, alpha: float) -> Tensor:
    """Return ``k_i`` ``(M,)`` for the sums ``s_i`` ``(M,)`` of probabilities."""
    ratios = discrepancy_ratios(sums)
    return torch.where(ratios > 1, 1 - torch.tanh(alpha * ratios), torch.ones_like(ratios))
