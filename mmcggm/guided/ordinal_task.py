"""Ordered classes."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmcggm.registry import TASKS

from .tasks import TargetTask, find_target


@TASKS.register_module()
class OrdinalTask(TargetTask):
    """Ordered classes, such as grades, by cumulative logits (Frank and Hall, ECML 2001; CORAL, arXiv
    1901.07884).

    Predictions are logits ``(N, C - 1)``: that the class is above 0, above 1, and so on. Targets are class
    indices ``(N,)`` or ``(N, 1)``. The score is ``1 - |predicted - true| / (C - 1)``, where the predicted
    class is the number of positive logits.

    Args:
        target: Path of the targets in the batch, see :class:`ClassificationTask`.
        loss: ``'cumulative'``, the mean binary cross-entropy; or the path of a loss module in the model, of
            the logits and of targets 0 and 1 in the same shape.
    """

    losses = {'cumulative': nn.BCEWithLogitsLoss()}

    def __init__(self, target: str, loss: str = 'cumulative') -> None:
        super().__init__(target, loss)

    def counts(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        prediction, levels = self._matched(prediction, batch)
        off = ((prediction > 0).sum(1) - levels.sum(1)).abs() / prediction.shape[1]
        return torch.stack([(1 - off).sum(), off.new_tensor(len(off))]).unsqueeze(0)

    def labels(self, batch: dict[str, Any]) -> Tensor:
        return find_target(batch, self.target).flatten().long()

    def _matched(self, prediction: Tensor, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the logits and, of each, whether the class is above."""
        target = find_target(batch, self.target)
        if target.shape[1:].numel() != 1 or prediction.ndim != 2 or len(prediction) != len(target):
            raise ValueError(
                'OrdinalTask needs logits (N, C - 1) and class indices (N,), but a guide predicts '
                f"{tuple(prediction.shape)} and '{self.target}' holds {target.dtype} of shape "
                f'{tuple(target.shape)}.'
            )
        above = target.reshape(-1, 1) > torch.arange(prediction.shape[1], device=target.device)
        return prediction, above.to(torch.promote_types(prediction.dtype, torch.float32))
