"""Losses that the libraries lack."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmcggm.registry import MODELS


@MODELS.register_module()
class ForegroundDiceLoss(nn.Module):
    """One minus the soft Dice of all foreground classes, over the whole batch at once.

    ``1 - 2 Σ p t / (Σ p + Σ t + smooth)``, the sums over samples, pixels and classes other than the
    background (class 0), with softmax probabilities ``p`` and one-hot labels ``t``: the published
    code's Dice term. ``mmseg``'s and MONAI's losses average over samples or classes instead.

    Args:
        smooth: Added to the denominator.
        loss_weight: Factor on the loss.
        loss_name: Name in the log; holds ``loss`` so that it is added to the total.
    """

    def __init__(self, smooth: float = 0.01, loss_weight: float = 1.0, loss_name: str = 'loss_dice') -> None:
        super().__init__()
        self.smooth = smooth
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255, **kwargs
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            pred: Logits ``(N, C, H, W)``.
            target: Labels ``(N, H, W)``, integers.
            weight: Weights ``(N, H, W)`` of the pixels.
            ignore_index: Label of pixels that do not count.
        """
        counted = target != ignore_index
        if weight is not None:
            counted = counted * weight
        probabilities = pred.softmax(dim=1)
        # The probability of the true class, where that is a foreground class, is Σ_c p_c t_c.
        foreground = counted * ((target > 0) & (target != ignore_index))
        true_class = probabilities.gather(1, target.where(target != ignore_index, 0).unsqueeze(1)).squeeze(1)
        overlap = torch.sum(true_class * foreground)
        total = torch.sum((1 - probabilities[:, 0]) * counted) + foreground.sum()
        return self.loss_weight * (1 - 2 * overlap / (total + self.smooth))
