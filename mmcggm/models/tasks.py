"""Tasks: how a guide's prediction is judged, with the loss of the model that it guides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from mmengine.model import BaseModel
from mmseg.models.utils import resize
from torch import Tensor

from mmcggm.registry import TASKS


class Task(ABC):
    """The loss and the score of a prediction on a batch, for the guides of one model."""

    @abstractmethod
    def loss(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return the task's loss, a scalar, of a guide's ``prediction``.

        Args:
            model: The guided model, whose loss functions serve.
            prediction: A guide's output.
            batch: What the model's ``forward`` was called with, by argument name.
        """

    @abstractmethod
    def counts(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return the score of a guide's ``prediction`` as counts ``(K, 2)``, see ``GuidedStep``."""


@TASKS.register_module()
class SegmentationTask(Task):
    """Semantic segmentation with a model of ``mmseg``'s kind.

    Args:
        head: Path of the decode head in the model; its ``loss_by_feat`` judges the guides as well.
        score: Config of the score. Default: Dice of WT, TC and ET.
    """

    def __init__(self, head: str = 'decode_head', score: dict | str = 'SliceDice') -> None:
        self.head = head
        self.score = TASKS.build(dict(type=score) if isinstance(score, str) else score)

    def loss(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        losses = model.get_submodule(self.head).loss_by_feat(prediction, batch['data_samples'])
        return sum(value for name, value in losses.items() if 'loss' in name)

    def counts(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        target = torch.stack([sample.gt_sem_seg.data for sample in batch['data_samples']]).squeeze(1)
        align_corners = model.get_submodule(self.head).align_corners
        prediction = resize(
            prediction, target.shape[1:], mode='bilinear', align_corners=align_corners, warning=False
        )
        return self.score(prediction, target)
