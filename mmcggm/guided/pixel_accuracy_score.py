"""The share of pixels that are right, as counts that add up over micro-batches and processes."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcggm.registry import TASKS


@TASKS.register_module()
class PixelAccuracy:
    """The share of pixels whose class is right, for any number of classes; ``aAcc`` of mmseg's metrics."""

    def __call__(self, logits: Tensor, target: Tensor, ignore_index: int | None = None) -> Tensor:
        """Return counts ``(1, 2)``: the pixels that are right, and those that count.

        Args:
            logits: ``(N, C, H, W)``.
            target: Labels ``(N, H, W)``.
            ignore_index: Label of pixels that don't count, if any.
        """
        counted = torch.ones_like(target, dtype=torch.bool)
        if ignore_index is not None:
            counted = target != ignore_index
        right = (logits.max(dim=1).indices == target) & counted
        return torch.stack([right.sum(), counted.sum()]).float().unsqueeze(0)
