"""Semantic segmentation: guides judged by the losses of a decode head."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmcggm.models.outputs import outputs_of
from mmcggm.registry import TASKS

from .encoder_paths import find_module
from .tasks import Task


@TASKS.register_module()
class SegmentationTask(Task):
    """Semantic segmentation with a model of ``mmseg``'s kind, of slices or of volumes.

    Guides predict what the head does: labels or, where its losses are of regions, regions. They are scored on
    the labels that follow.

    Args:
        head: Path of the decode head in the model; its ``loss_decode``, with its sampler, judges the
            guides as well.
        score: Config of the score, or its type. Default: Dice of WT, TC and ET of BraTS. For other classes
            ``SliceDice`` with ``regions``, or ``'PixelAccuracy'``.
        grid: Where guides are judged. ``'labels'``: their logits are interpolated to the labels' size.
            ``'guide'``: the labels are sampled at the size of the logits, which makes guides of volumes
            cheap.

    Raises:
        ValueError: If the grid is unknown.
    """

    def __init__(
        self, head: str = 'decode_head', score: dict | str = 'SliceDice', grid: str = 'labels'
    ) -> None:
        if grid not in ('labels', 'guide'):
            raise ValueError(f"`task.grid` must be 'labels' or 'guide', got {grid!r}.")
        self.head = head
        self.grid = grid
        self.score = TASKS.build(score, key='task.score')

    def check(self, model: BaseModel) -> None:
        head = find_module(model, self.head, 'task.head')
        if not hasattr(head, 'loss_decode'):
            raise ValueError(
                f"`task.head`: '{self.head}' is a {type(head).__name__} without `loss_decode`, not a decode "
                "head of mmseg's kind."
            )
        outputs_of(head)  # refuses what does not fit

    def fit(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return logits ``(N, C, *)`` in the size of the labels, ``(N, *)``, or as they are."""
        axes = prediction.ndim - 2
        size = batch['data_samples'][0].gt_sem_seg.data.shape[-axes:]
        if prediction.shape[2:] == size or self.grid == 'guide':
            return prediction
        align_corners = model.get_submodule(self.head).align_corners
        mode = 'bilinear' if axes == 2 else 'trilinear'
        return nn.functional.interpolate(prediction, size, mode=mode, align_corners=align_corners)

    def loss(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        head, target = model.get_submodule(self.head), self._target(batch, prediction)
        criteria = head.loss_decode if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]
        weight = None if head.sampler is None else head.sampler.sample(prediction, target.unsqueeze(1))
        return sum(
            criterion(prediction, target, weight=weight, ignore_index=head.ignore_index)
            for criterion in criteria
        )

    def counts(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        head, target = model.get_submodule(self.head), self._target(batch, prediction)
        decision = outputs_of(head).decision(prediction)
        return self.score(decision, target, ignore_index=head.ignore_index)

    def confidences(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return the probability of the true label, averaged over the pixels that count, ``(N,)``."""
        head = model.get_submodule(self.head)
        logits = self.class_logits(model, self.fit(model, prediction, batch))
        target = self._target(batch, logits)
        counted = target != head.ignore_index
        found = logits.softmax(1).gather(1, target.where(counted, 0).unsqueeze(1)).squeeze(1)
        return (found * counted).flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1)

    def class_logits(self, model: BaseModel, prediction: Tensor) -> Tensor:
        return outputs_of(model.get_submodule(self.head)).label_logits(prediction)

    @staticmethod
    def _target(batch: dict[str, Any], logits: Tensor) -> Tensor:
        """Return the labels ``(N, *)``, sampled at the size of logits ``(N, C, *)`` that have another."""
        labels = torch.stack([sample.gt_sem_seg.data for sample in batch['data_samples']])
        if labels.ndim == logits.ndim:  # (N, 1, H, W), as mmseg has those of slices
            labels = labels.squeeze(1)
        for axis, size in enumerate(logits.shape[2:], start=1):
            if (length := labels.shape[axis]) != size:
                middles = (torch.arange(size, device=labels.device) + 0.5) * (length / size)
                labels = labels.index_select(axis, middles.long())
        return labels
