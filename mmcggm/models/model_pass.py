"""A guided model's answers about one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mmcggm.balancers import Change, GuidedPass, Outcome

from .nested import map_tensors
from .sequences import is_padded, pool_tokens


class ModelPass(GuidedPass):
    """One ``mode='loss'`` pass of a :class:`~mmcggm.models.GuidedModel`.

    Args:
        modalities: Names, in order.
        representations: By modality, with their graphs; those that appeared.
        inputs: The same, detached, as the guides saw them.
        predictions: The guides' predictions, as the task takes them.
        losses: The guides' losses, with the graph to ``inputs``.
        fused: The task's loss, and the output of the head's last layer.
        judge: Function of a prediction that returns its :meth:`Task.confidences` on the batch.
        labels: Function that returns the class of each sample.
        run: Function of changes by modality that runs the model again and returns loss and output of the
            head's last layer.
    """

    def __init__(
        self,
        modalities: tuple[str, ...],
        representations: dict[str, Any],
        inputs: dict[str, Any],
        predictions: dict[str, Tensor],
        losses: dict[str, Tensor],
        fused: tuple[Tensor, Tensor],
        judge: Callable[[Tensor], Tensor],
        labels: Callable[[], Tensor],
        run: Callable[[Mapping[str, Change]], tuple[Tensor, Tensor]],
    ) -> None:
        self._modalities = modalities
        self._representations = representations
        self._inputs = inputs
        self._predictions = predictions
        self._losses = losses
        self._fused = fused
        self._judge = judge
        self._labels = labels
        self._run = run

    def unimodal_losses(self) -> list[Tensor | None]:
        return self._each(self._unimodal_loss)

    def vectors(self) -> list[Tensor | None]:
        return self._each(lambda modality: _vector(self._representations[modality]))

    @torch.no_grad()
    def confidences(self) -> list[Tensor | None]:
        return self._each(lambda modality: self._judge(self._predictions[modality]))

    def labels(self) -> Tensor:
        return self._labels()

    def fused(self) -> Outcome:
        loss, output = self._fused
        return Outcome(loss, self._judge(output))

    def rerun(self, changes: Mapping[int, Change]) -> Outcome:
        loss, output = self._run({self._modalities[index]: change for index, change in changes.items()})
        return Outcome(loss, self._judge(output))

    def _each(self, function: Callable[[str], Tensor]) -> list[Tensor | None]:
        return [function(m) if m in self._representations else None for m in self._modalities]

    def _unimodal_loss(self, modality: str) -> Tensor:
        """Return ``L_i`` with the gradient of ``⟨∂L_i/∂h_i, h_i⟩``: that of ``L_i`` at the encoder."""
        loss = self._losses[modality]
        leaves, tensors = (
            float_tensors(self._inputs[modality]),
            float_tensors(self._representations[modality]),
        )
        grads = torch.autograd.grad(loss, leaves, retain_graph=True, materialize_grads=True)
        inner = sum((g * h).sum() for g, h in zip(grads, tensors, strict=True))
        return loss.detach() + inner - inner.detach()


def float_tensors(representation: Any) -> list[Tensor]:
    """Return the floating point tensors of a representation, in order."""
    found: list[Tensor] = []

    def look(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point():
            found.append(tensor)
        return tensor

    map_tensors(look, representation)
    return found


def _vector(representation: Any) -> Tensor:
    """Return ``(N, C)``: the mean over positions of a vector, a sequence, or a pyramid's last feature map."""
    if is_padded(representation):
        return pool_tokens(representation, 'mean')
    x = float_tensors(representation)[-1]
    if x.ndim == 3:
        return x.mean(1)
    return x if x.ndim < 3 else x.flatten(2).mean(2)
