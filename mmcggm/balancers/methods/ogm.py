"""On-the-fly Gradient Modulation (Peng et al., CVPR 2022, arXiv 2203.15332)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcggm.balancers.balancer import EncoderScaling
from mmcggm.balancers.discrepancy import discrepancy_ratios, share_sums
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.state import Memory, UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class OGM(EncoderScaling):
    """Slows the encoders whose modality predicts better than the others.

    With the batch's sum ``s_i`` of the probabilities that modality ``i`` gives to the truth, and the
    discrepancy ratio ``r_i = s_i / mean_{k≠i} s_k``, the encoder's gradient is scaled by

        ``k_i = 1 - tanh(α r_i)`` if ``r_i > 1``, else 1                                    (eq. 9, 10)

    OGM-GE adds Gaussian noise to it, whose deviation is that of the entries before they were scaled, as in
    the authors' code. It is drawn the same in all processes, after their gradients were averaged.

    The paper has two modalities, for which ``r_i`` is the ratio of the two sums; the mean over the
    others is the generalisation here. It takes ``s_i`` from the fused linear layer, split by modality, and so
    does this where fusion up to the head's output is affine; elsewhere the guides give it, so that any fusion
    will do. The log says which. For tasks with probabilities.

    Args:
        alpha: α, positive.
        enhance: Whether to add noise (GE), to weights of two or more axes, as published for
            convolutions.

    Noise is not for sharded parameters.

    Raises:
        ValueError: If ``alpha`` is not positive.
    """

    confidence = UpdateSum()
    updates = Memory(0)

    def __init__(self, alpha: float = 0.1, enhance: bool = True) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f'OGM needs alpha > 0, got {alpha}.')
        self.alpha = alpha
        self.enhance = enhance
        self.needs = acting_on('gradients', whole_encoders=enhance)

    def factors(self, seen: Pass) -> Tensor:
        """Return ``k`` from the probabilities of the truth in the micro-batches so far."""
        self.confidence.add(share_sums(seen))
        sums = self.confidence.total
        coefficients = ogm_coefficients(sums, self.alpha)
        self.stats = {'k': coefficients, 'confidence': sums}
        return coefficients

    def change_gradients(self) -> None:
        """Scale the gradients, and add noise if asked for, the same in all processes."""
        grads = [p.grad for encoder in self.encoders for p in encoder if p.grad is not None]
        noisy = [grad for grad in grads if self.enhance and grad.ndim > 1]
        deviations = [grad.std() for grad in noisy]
        super().change_gradients()
        generator = self.training.generator(self.training.device, self.updates)
        for grad, deviation in zip(noisy, deviations, strict=True):
            noise = torch.randn(grad.shape, dtype=grad.dtype, device=grad.device, generator=generator)
            grad.add_(noise * deviation)

    def end_update(self) -> None:
        self.updates += 1


def ogm_coefficients(sums: Tensor, alpha: float) -> Tensor:
    """Return ``k_i`` ``(M,)`` for the sums ``s_i`` ``(M,)`` of probabilities."""
    ratios = discrepancy_ratios(sums)
    return torch.where(ratios > 1, 1 - torch.tanh(alpha * ratios), torch.ones_like(ratios))
