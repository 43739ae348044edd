"""A guided model's answers about one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmcggm.balancers import Change, GuidedPass, Outcome
from mmcggm.structures.nested import check_pyramid, map_tensors
from mmcggm.structures.sequences import is_padded, pool_tokens

from .watching import Call


class ModelPass(GuidedPass):
    """One ``mode='loss'`` pass of a :class:`~mmcggm.guided.GuidedModel`.

    Args:
        modalities: Names, in order.
        encoders: Function that returns the trainable parameters of each encoder.
        representations: By modality, with their graphs; those that appeared.
        inputs: The same, detached, as the guides saw them.
        predictions: The guides' predictions, as the task takes them.
        losses: The guides' losses, with the graph to ``inputs``.
        fused: The task's loss, and what the head's last layer was given and returned, or None if the model
            uses it without calling it.
        judge: Function of a prediction that returns its :meth:`Task.confidences` on the batch.
        labels: Function that returns the class of each sample.
        run: Function of changes by modality that runs the model again, in evaluation mode, and returns what
            ``fused`` holds.
        teach: Function that returns the teachers' representations by modality.
    """

    def __init__(
        self,
        modalities: tuple[str, ...],
        encoders: Callable[[], Sequence[Sequence[nn.Parameter]]],
        representations: dict[str, Any],
        inputs: dict[str, Any],
        predictions: dict[str, Tensor],
        losses: dict[str, Tensor],
        fused: tuple[Tensor, Call | None],
        judge: Callable[[Tensor], Tensor],
        labels: Callable[[], Tensor],
        run: Callable[[Mapping[str, Change]], tuple[Tensor, Call | None]],
        teach: Callable[[], dict[str, Any]],
    ) -> None:
        self._modalities = modalities
        self._encoders = encoders
        self._representations = representations
        self._inputs = inputs
        self._predictions = predictions
        self._losses = losses
        self._fused = fused
        self._judge = judge
        self._labels = labels
        self._run = run
        self._teach = teach

    def encoders(self) -> Sequence[Sequence[nn.Parameter]]:
        return self._encoders()

    def task_loss(self) -> Tensor:
        return self._fused[0]

    def unimodal_losses(self) -> list[Tensor | None]:
        return self._each(lambda modality: self._at_encoders(self._losses[modality], [modality]))

    def vectors(self) -> list[Tensor | None]:
        return self._each(lambda modality: pooled_vector(self._representations[modality]))

    @torch.no_grad()
    def confidences(self) -> list[Tensor | None]:
        return self._each(lambda modality: self._judge(self._predictions[modality]))

    def confidences_of(self, output: Tensor) -> Tensor:
        return self._judge(output)

    def predictions(self) -> list[Tensor | None]:
        return self._each(self._predictions.__getitem__)

    def at_encoders(self, loss: Tensor) -> Tensor:
        return self._at_encoders(loss, list(self._representations))

    def teachers(self) -> list[Tensor | None]:
        taught = self._teach()
        return [pooled_vector(taught[m]) if m in taught else None for m in self._modalities]

    def labels(self) -> Tensor:
        return self._labels()

    def head_input(self) -> Tensor:
        return _called(self._fused[1]).input

    def fused(self) -> Outcome:
        return self._outcome(*self._fused)

    def rerun(self, changes: Mapping[int, Change]) -> Outcome:
        return self._outcome(
            *self._run({self._modalities[index]: change for index, change in changes.items()})
        )

    def _outcome(self, loss: Tensor, head: Call | None) -> Outcome:
        output = _called(head).output
        return Outcome(loss, self._judge(output), output)

    def _each(self, function: Callable[[str], Tensor]) -> list[Tensor | None]:
        return [function(m) if m in self._representations else None for m in self._modalities]

    def _at_encoders(self, loss: Tensor, modalities: list[str]) -> Tensor:
        """Return ``loss`` with the gradient of ``Σ_i ⟨∂loss/∂h_i, h_i⟩``: its own at these encoders alone."""
        leaves = [leaf for modality in modalities for leaf in float_tensors(self._inputs[modality])]
        tensors = [h for modality in modalities for h in float_tensors(self._representations[modality])]
        grads = torch.autograd.grad(loss, leaves, retain_graph=True, materialize_grads=True)
        inner = sum((g * h).sum() for g, h in zip(grads, tensors, strict=True))
        return loss.detach() + inner - inner.detach()


def _called(head: Call | None) -> Call:
    """Return the call of the head's last layer, or raise a ValueError if there was none."""
    if head is None:
        raise ValueError(
            'This balancer asks what the last layer of the head was given and returned, but the model uses '
            "the layer's weight without calling it: call the layer, or choose another balancer."
        )
    return head


def float_tensors(representation: Any) -> list[Tensor]:
    """Return the floating point tensors of a representation, in order."""
    found: list[Tensor] = []

    def look(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point():
            found.append(tensor)
        return tensor

    map_tensors(look, representation)
    return found


def pooled_vector(representation: Any) -> Tensor:
    """Return ``(N, C)``: the mean over positions of a vector, a sequence, or a pyramid's last feature map.

    Raises:
        ValueError: If it is several tensors that can't be a pyramid.
    """
    if is_padded(representation):
        return pool_tokens(representation, 'mean')
    check_pyramid(representation)
    x = float_tensors(representation)[-1]
    if x.ndim == 3:
        return x.mean(1)
    return x if x.ndim < 3 else x.flatten(2).mean(2)
