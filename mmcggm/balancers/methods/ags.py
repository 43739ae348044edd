"""Actual-cause guided adaptive gradient scaling, AGS (Chen et al., ACM TOMM 2025), of AGS-SMoE."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer, scale_gradients
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.scores import mean_of_others
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class AGS(Balancer):
    """Slows encoders whose gradient is larger than the others', which are the actual cause of the imbalance.

    Chen, Huang, Huang & Huang, *Actual Cause Guided Adaptive Gradient Scaling for Balanced Multimodal
    Sentiment Analysis*, ACM TOMM 2025. With the size ``n_i = sqrt(mean_p ‖g_p‖²)`` of the gradients ``g_p``
    of the parameter tensors of encoder ``i``, and the ratio ``r_i = n_i / mean_{k≠i} n_k``, it is scaled by

        ``c_i = 1 - tanh(α r_i / (1 + r_i))`` if ``r_i > 1``, else 1

    so that one that leads keeps between ``1 - tanh α`` and ``1 - tanh(α/2)`` of its gradient. That depends
    little on by how much it leads, and ``α = 0.01``, the default of the authors' code, takes less than one
    percent.

    Published for three modalities (text, audio, vision) and any task; this is the same for ``M``. The
    paper's text could not be had: this is the authors' code, whose scaling of two cross-attention modules,
    its experts and its losses on mutual information belong to its model, and are left out. There it ends
    after 4 of 40 epochs: ``BalancingHook(end=...)``. A modality whose encoder has no gradient is left out
    of the means. Not for sharded parameters.

    Args:
        alpha: α, positive.
        slow: ``'above'``: all with ``r_i > 1``; ``'largest'``: the largest alone. In the authors' code
            ``average``, its default, and ``max``.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = acting_on('gradients', whole_encoders=True)

    def __init__(self, alpha: float = 0.01, slow: str = 'above') -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f'AGS needs alpha > 0, got {alpha}.')
        if slow not in ('above', 'largest'):
            raise ValueError(f"AGS needs slow='above' or 'largest', got {slow!r}.")
        self.alpha = alpha
        self.slow = slow

    def observe(self, seen: Pass) -> None:
        self._like = seen.task_loss.detach().new_zeros(())

    def change_gradients(self) -> None:
        sizes = torch.stack([_size(encoder, self._like) for encoder in self.encoders])
        coefficients = ags_coefficients(sizes, self.alpha, largest=self.slow == 'largest')
        self.stats = {'c': coefficients, 'size': sizes}
        scale_gradients(self.encoders, coefficients)


def ags_coefficients(sizes: Tensor, alpha: float, largest: bool = False) -> Tensor:
    """Return ``c_i`` ``(M,)`` for sizes ``n_i`` ``(M,)``, if ``largest`` with the largest alone slowed."""
    others = mean_of_others(sizes, counted=sizes > 0)
    slowed = (sizes > others) & (others > 0)
    if largest:
        slowed &= sizes == sizes.max()
    # r / (1 + r)
    share = sizes / (sizes + others).clamp(min=torch.finfo(sizes.dtype).tiny)
    return torch.where(slowed, 1 - torch.tanh(alpha * share), torch.ones_like(sizes))


def _size(encoder: Sequence[nn.Parameter], like: Tensor) -> Tensor:
    """Return ``n``, a scalar, of an encoder's parameters; zero if none has a gradient."""
    squares = [p.grad.square().sum().to(like) for p in encoder if p.grad is not None]
    return torch.stack(squares).mean().sqrt() if squares else like
