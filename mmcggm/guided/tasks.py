"""Tasks: how a guide's prediction is judged, with the loss of the model that it guides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmcggm.registry import TASKS
from mmcggm.structures.nested import describe

from .encoder_paths import find_module


class Task(ABC):
    """The loss and the score of a prediction on a batch, for the guides of one model."""

    def check(self, model: BaseModel) -> None:  # noqa: B027, most tasks need no check
        """Raise a ValueError that names the setting, unless the task fits the model."""

    def fit(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return a guide's output in the form that :meth:`loss` and :meth:`counts` take; as it is here."""
        return prediction

    @abstractmethod
    def loss(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return the task's loss, a scalar, of a guide's ``prediction``.

        Args:
            model: The guided model, whose loss functions serve.
            prediction: What :meth:`fit` returned.
            batch: What the model's ``forward`` was called with, by argument name.
        """

    @abstractmethod
    def counts(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return the score of a guide's ``prediction`` as counts ``(K, 2)``, see ``Pass.counts``."""

    def confidences(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return the probability that a prediction gives to the truth, by sample, ``(N,)``.

        Raises:
            ValueError: If predictions are no probabilities.
        """
        raise ValueError(f'{type(self).__name__} has no probabilities, which this balancer needs.')

    def class_logits(self, model: BaseModel, prediction: Tensor) -> Tensor:
        """Return logits of classes that exclude each other, see ``Pass.class_logits``; as it is here."""
        return prediction

    def labels(self, batch: dict[str, Any]) -> Tensor:
        """Return the class of each sample, int64 ``(N,)``.

        Raises:
            ValueError: If there is none.
        """
        raise ValueError(f'{type(self).__name__} has no class a sample, which this balancer needs.')


class TargetTask(Task):
    """A task with targets in the batch and a loss of predictions and targets.

    Args:
        target: Path of the targets in the batch.
        loss: A name in ``losses``, or the path of a loss module in the model.
    """

    losses: dict[str, nn.Module]

    def __init__(self, target: str, loss: str) -> None:
        self.target = target
        self.loss_path = loss

    def check(self, model: BaseModel) -> None:
        if self.loss_path not in self.losses:
            find_module(model, self.loss_path, 'task.loss')

    def loss(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        if self.loss_path in self.losses:
            criterion = self.losses[self.loss_path]
        else:
            criterion = model.get_submodule(self.loss_path)
        loss = criterion(*self._matched(prediction, batch))
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ValueError(f"`task.loss`: '{self.loss_path}' returned {describe(loss)}, not a scalar.")
        return loss

    def fit(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return a dense prediction ``(N, C, *)`` in the size of dense targets; others as they are."""
        axes = prediction.ndim - 2
        if axes < 1:
            return prediction
        target = find_target(batch, self.target)
        size = target.shape[-axes:]
        if not self._is_dense(target, axes) or prediction.shape[2:] == size:
            return prediction
        return nn.functional.interpolate(prediction, size, mode=('linear', 'bilinear', 'trilinear')[axes - 1])

    def _is_dense(self, target: Tensor, axes: int) -> bool:
        """Return whether targets are ``(N, *)`` or ``(N, C, *)`` with so many axes ``*``."""
        return target.ndim - axes in (1, 2) and target[0].numel() > 1

    @abstractmethod
    def _matched(self, prediction: Tensor, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return prediction and target in shapes that fit each other, or raise a ValueError."""


@TASKS.register_module()
class ClassificationTask(TargetTask):
    """Classification; the score is the accuracy.

    Predictions are logits ``(N, C)`` or ``(N, C, *)``. Targets are class indices ``(N,)``, ``(N, 1)`` or,
    of dense predictions, ``(N, *)`` or ``(N, 1, *)``; or probabilities in the shape of the prediction. Dense
    predictions are resized to dense targets; of one class a sample they are averaged.

    Args:
        target: Path of the targets in the batch, which is what the model's ``forward`` was called with,
            by argument name: ``'label'``, or ``'data_samples.gt_label'`` where each of a list of data
            samples has a ``gt_label``.
        loss: ``'cross_entropy'``, or the path of a loss module in the model, such as
            ``'head.loss_module'``.
        score: ``'accuracy'``, or ``'dice'``, the mean of the classes' Dice, for dense predictions.
        ignore_index: Index of what does not count in dense targets.

    Raises:
        ValueError: If the score is unknown.
    """

    losses = {'cross_entropy': nn.CrossEntropyLoss()}
    _checked = False

    def __init__(
        self, target: str, loss: str = 'cross_entropy', score: str = 'accuracy', ignore_index: int = -100
    ) -> None:
        super().__init__(target, loss)
        if score not in ('accuracy', 'dice'):
            raise ValueError(f"`task.score` must be 'accuracy' or 'dice', got {score!r}.")
        self.score, self.ignore_index = score, ignore_index
        self.losses = {'cross_entropy': nn.CrossEntropyLoss(ignore_index=ignore_index)}

    def loss(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        try:
            return super().loss(model, prediction, batch)
        except IndexError as error:  # what a loss says of a label without an output
            labels = find_target(batch, self.target)
            classes = prediction.shape[1]
            wrong = labels[((labels < 0) | (labels >= classes)) & (labels != self.ignore_index)]
            if labels.is_floating_point() or not len(wrong):
                raise
            raise ValueError(
                f"there are {classes} outputs, so labels are 0 to {classes - 1}, but '{self.target}' holds "
                f'the label {wrong[0].item()}. There must be an output for each class.'
            ) from error

    def counts(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        prediction, target = self._matched(prediction, batch)
        labels = target.argmax(1) if target.is_floating_point() else target
        if self.score == 'dice':
            return dice_counts(prediction, labels, labels != self.ignore_index)
        if labels.ndim > 1:
            hits = (prediction.argmax(1) == labels) & prediction.isfinite().all(1)
            return torch.stack([hits.sum(), (labels != self.ignore_index).sum()]).float().unsqueeze(0)
        return _ratio((prediction.argmax(1) == labels) & prediction.isfinite().all(1))

    def confidences(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        prediction, target = self._matched(prediction, batch)
        probabilities = prediction.softmax(1)
        if target.is_floating_point():
            found = (probabilities * target).sum(1)
        else:
            found = probabilities.gather(1, target.unsqueeze(1)).squeeze(1)
        return found.flatten(1).mean(1) if found.ndim > 1 else found

    def labels(self, batch: dict[str, Any]) -> Tensor:
        target = find_target(batch, self.target)
        if target.is_floating_point() and target.ndim == 2:
            return target.argmax(1)
        if target.ndim > 1 and target.shape[1:].numel() > 1:
            return super().labels(batch)
        return target.flatten().long()

    def _matched(self, prediction: Tensor, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        target = find_target(batch, self.target)
        if target.ndim > 1 and target.shape[1] == 1:
            target = target.squeeze(1)
        if prediction.ndim > 2 and target.ndim == 1:
            prediction = prediction.flatten(2).mean(2)
        if target.is_floating_point() and target.ndim == 2:
            self._check_one_label(target)
        indices = prediction.shape[:1] + prediction.shape[2:]
        expected = prediction.shape if target.is_floating_point() else indices
        if prediction.ndim < 2 or prediction.shape[1] < 2 or target.shape != expected:
            raise ValueError(
                'ClassificationTask needs logits (N, C, *) of at least two classes, and class indices (N, *) '
                f'or probabilities (N, C, *), but a guide predicts {tuple(prediction.shape)} and '
                f"'{self.target}' holds {target.dtype} of shape {tuple(target.shape)}."
                + (' Of several labels a sample it is a MultiLabelTask.' if target.ndim == 2 else '')
                + (
                    ' One logit for two classes is of a MultiLabelTask.'
                    if prediction.shape[1:2] == (1,)
                    else ''
                )
            )
        return prediction, target if target.is_floating_point() else target.long()

    def _check_one_label(self, probabilities: Tensor) -> None:
        """Raise a ValueError if rows of the first batch are no probabilities; asking waits for the device."""
        if self._checked:
            return
        self._checked = True
        if not torch.isclose(probabilities.sum(1), probabilities.new_ones(()), atol=1e-2).all():
            raise ValueError(
                'ClassificationTask needs probabilities that add up to one, but those of a sample in '
                f"'{self.target}' do not: of several labels a sample it is a MultiLabelTask."
            )


@TASKS.register_module()
class MultiLabelTask(TargetTask):
    """Several labels a sample, each there or not; the score is the F1 of all labels together (micro-F1).

    Predictions are logits ``(N, K)`` or ``(N, K, *)``, targets 0 and 1 in the same shape, or ``(N,)`` for one
    label; dense predictions are resized to it. (Where most labels are absent,
    accuracy would call a guide good that says "no" to all.)

    Args:
        target: Path of the targets in the batch, see :class:`ClassificationTask`.
        loss: ``'binary_cross_entropy'``, or the path of a loss module in the model.
    """

    losses = {'binary_cross_entropy': nn.BCEWithLogitsLoss()}

    def __init__(self, target: str, loss: str = 'binary_cross_entropy') -> None:
        super().__init__(target, loss)

    def counts(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        prediction, target = self._matched(prediction, batch)
        named, there = prediction > 0, target > 0.5
        return torch.stack([2 * (named & there).sum(), named.sum() + there.sum()]).float().unsqueeze(0)

    def _matched(self, prediction: Tensor, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        target = find_target(batch, self.target)
        if prediction.shape == (*target.shape, 1):
            target = target.unsqueeze(-1)
        if prediction.ndim < 2 or prediction.shape != target.shape:
            raise ValueError(
                'MultiLabelTask needs logits (N, K, *) and targets of the same shape, but a guide predicts '
                f"{tuple(prediction.shape)} and '{self.target}' holds {tuple(target.shape)}."
                f'{_class_hint(prediction, target)}'
            )
        return prediction, target.to(torch.promote_types(prediction.dtype, torch.float32))


@TASKS.register_module()
class RegressionTask(TargetTask):
    """Regression of targets ``(N,)`` or ``(N, D)``, or dense ones, ``(N, *)`` or ``(N, D, *)``.

    Dense predictions ``(N, D, *)`` are resized to the targets.

    Args:
        target: Path of the targets in the batch, see :class:`ClassificationTask`.
        loss: ``'l1'``, ``'mse'``, or the path of a loss module in the model.
        score: ``'sign'``, how often prediction and target agree in being positive, or
            ``'negative_loss'``.

    Raises:
        ValueError: If the score is unknown.
    """

    losses = {'l1': nn.L1Loss(), 'mse': nn.MSELoss()}

    def __init__(self, target: str, loss: str = 'l1', score: str = 'sign') -> None:
        super().__init__(target, loss)
        if score not in ('sign', 'negative_loss'):
            raise ValueError(f"`task.score` must be 'sign' or 'negative_loss', got {score!r}.")
        self.score = score

    def counts(self, model: BaseModel, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        if self.score == 'negative_loss':
            loss, size = self.loss(model, prediction, batch), len(prediction)
            return torch.stack([-loss.float() * size, loss.new_full((), size, dtype=torch.float)]).unsqueeze(
                0
            )
        prediction, target = self._matched(prediction, batch)
        return _ratio((prediction > 0) == (target > 0))

    def _matched(self, prediction: Tensor, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        found = find_target(batch, self.target)
        target = found.to(torch.promote_types(prediction.dtype, torch.float32))
        if prediction.shape == (*target.shape, 1):
            target = target.unsqueeze(-1)
        elif prediction.shape == (*target.shape[:1], 1, *target.shape[1:]):
            target = target.unsqueeze(1)
        if prediction.shape != target.shape:
            raise ValueError(
                f'RegressionTask needs predictions and targets of one shape, but a guide predicts '
                f"{tuple(prediction.shape)} and '{self.target}' holds {tuple(target.shape)}."
                f'{_class_hint(prediction, found)}'
            )
        return prediction, target


def _class_hint(prediction: Tensor, target: Tensor) -> str:
    """Return what to say where ``target`` looks like the indices of the classes that a guide predicts."""
    is_whole = not (target.is_floating_point() or target.is_complex() or target.dtype == torch.bool)
    if not is_whole or prediction.ndim < 2 or prediction.shape[1] < 2:
        return ''
    if target.ndim != prediction.ndim - 1 or len(prediction) != len(target):
        return ''
    return (
        f' Indices of {prediction.shape[1]} classes, one a sample, are of ClassificationTask: in '
        "`mmcggm.balance`, `task='classification'`."
    )


def find_target(batch: dict[str, Any], path: str, setting: str = 'task.target') -> Tensor:
    """Return the targets at ``path`` in ``batch``, or what else ``setting`` names, stacked over samples.

    A step of the path is an entry of a dict or an attribute; of a list, that of each element, or, if it is a
    number, one of them.

    Raises:
        ValueError: If there is nothing at ``path``; it says what the batch holds.
    """

    def step_into(value: Any, step: str) -> Any:
        if isinstance(value, (list, tuple)):
            if step.isdecimal() and int(step) < len(value):
                return value[int(step)]
            return [step_into(element, step) for element in value]
        try:
            return value[step] if isinstance(value, Mapping) else getattr(value, step)
        except (KeyError, AttributeError):
            held = list(value) if isinstance(value, Mapping) else f'a {type(value).__name__}'
            raise ValueError(f"`{setting}`: no '{step}' of '{path}' in {held}.") from None

    value: Any = batch
    for step in path.split('.'):
        value = step_into(value, step)
    if isinstance(value, (list, tuple)):
        value = torch.stack([torch.as_tensor(element) for element in value])
    if not isinstance(value, Tensor):
        raise ValueError(f"`{setting}`: '{path}' is {describe(value)}, not a tensor.")
    return value


def dice_counts(prediction: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
    """Return each class's Dice as counts ``(C, 2)``, of logits ``(N, C, *)`` and classes ``(N, *)``."""
    classes = prediction.shape[1]
    # What does not count is a class of its own, which is left out.
    found = nn.functional.one_hot(prediction.argmax(1).where(counted, classes), classes + 1)[..., :-1]
    there = nn.functional.one_hot(labels.where(counted, classes), classes + 1)[..., :-1]
    common, sizes = (found * there).flatten(0, -2).sum(0), (found + there).flatten(0, -2).sum(0)
    return torch.stack([2 * common, sizes], dim=1).float()


def _ratio(hits: Tensor) -> Tensor:
    """Return counts ``(1, 2)``: how many of ``hits`` are true, and of how many."""
    return torch.stack([hits.sum(), hits.new_full((), hits.numel(), dtype=torch.long)]).float().unsqueeze(0)
