"""A task of two functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from .tasks import Task


class FunctionTask(Task):
    """A task of two functions of a guide's prediction and the target.

    Args:
        loss: Returns the loss, a scalar.
        score: Returns the score of each sample, ``(N,)``, higher if better.
        target: Where the batch has the target, by name.

    Example:
        >>> TASKS.register_module('ranking', module=lambda: FunctionTask(ranking_loss, ranking_score))
    """

    def __init__(
        self,
        loss: Callable[[Tensor, Any], Tensor],
        score: Callable[[Tensor, Any], Tensor],
        target: str = 'target',
    ) -> None:
        self._loss, self._score, self._target = loss, score, target

    def loss(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        return self._loss(prediction, batch[self._target])

    def counts(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        scores = self._score(prediction, batch[self._target]).float()
        if scores.ndim != 1:
            raise ValueError(
                f'The score of `task` must be one of each sample, (N,), got {tuple(scores.shape)}.'
            )
        return torch.stack([scores.sum(), scores.new_tensor(len(scores))]).unsqueeze(0)
