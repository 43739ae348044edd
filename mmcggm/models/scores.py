"""Scores ε of predictions, as counts that add up over micro-batches and processes."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcggm.evaluation.regions import REGIONS
from mmcggm.evaluation.slice_dice import is_any_of, slice_dice
from mmcggm.registry import TASKS


@TASKS.register_module()
class SliceDice:
    """Mean Dice over slices and regions, the published score of segmentation.

    See :class:`~mmcggm.evaluation.SliceDiceMetric` for the formula.

    Args:
        regions: Labels of each region by name. Default: WT, TC and ET of BraTS.
    """

    def __init__(self, regions: dict[str, tuple[int, ...]] | None = None) -> None:
        self.regions = regions or REGIONS

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return counts ``(K, 2)`` for ``K`` regions: the sum of Dice over slices, and their number.

        Args:
            logits: ``(N, C, H, W)``.
            target: Labels ``(N, H, W)``.
        """
        prediction = logits.max(dim=1).indices  # the same as argmax, and ten times as fast on a CPU
        counts = []
        for labels in self.regions.values():
            dice = slice_dice(is_any_of(prediction, labels), is_any_of(target, labels))
            counts.append(torch.stack([dice.sum(), dice.new_tensor(len(dice))]))
        return torch.stack(counts)
