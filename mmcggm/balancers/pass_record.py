"""What a forward pass showed: the one record that methods ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NoReturn

import torch
from torch import Tensor, nn

# What is done to each floating point tensor of a representation on its way into fusion.
Change = Callable[[Tensor], Tensor]
HIDING = 'CheckpointFunctionBackward'  # the node of activation checkpointing that is reentrant


@dataclass(frozen=True)
class SampleChange:
    """A :data:`Change` that asks which modalities each sample has.

    Attributes:
        function: From a tensor of the representation ``(N, ...)`` and ``present``, see
            :meth:`Pass.present`, to the changed tensor.
    """

    function: Callable[[Tensor, Tensor | None], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """Change ``x`` where all samples have all modalities."""
        return self.function(x, None)


def change_of(change: Change, x: Tensor, present: Tensor | None) -> Tensor:
    """Return ``x`` changed, in a pass whose samples have the modalities ``present``."""
    return change.function(x, present) if isinstance(change, SampleChange) else change(x)


class Pass:
    """One forward pass (a micro-batch) of a model with ``M`` guided modalities on ``N`` samples.

    All is computed when it is asked for, in any order. Lists are in the order of the modalities; a modality
    that the batch lacks is None in them. What a pass can't tell raises a ValueError.

    :class:`~mmcggm.guided.guided_pass.GuidedPass` answers for any model; :class:`PlainPass` is what a
    training loop fills in by hand.
    """

    #: By what losses are multiplied before backward; whoever trains in half precision sets it.
    loss_scale: Tensor | None = None

    @property
    def task_loss(self) -> Tensor:
        """The fused model's loss, a scalar with its graph."""
        self._unknown('the loss of the fused model')

    @property
    def guide_losses(self) -> Sequence[Tensor]:
        """The ``M`` losses of the guides, scalars whose gradients reach the guides alone.

        Of a modality that the batch lacks it is zero.
        """
        self._unknown('the losses of the guides')

    @property
    def head_weight(self) -> Tensor:
        """``W``, the weight of the last layer of the fused model's head; a parameter, or made of some."""
        self._unknown('the weight of the head')

    @property
    def head_weights(self) -> Sequence[Tensor]:
        """``W`` for each of the ``M`` modalities; different ones where each has a head of its own."""
        return [self.head_weight] * len(self.guide_losses)

    @property
    def guide_weights(self) -> Sequence[nn.Parameter]:
        """``W_i``, the weights of the guides' last layers, each with the shape of the modality's ``W``."""
        self._unknown('the weights of the guides')

    @property
    def head_input(self) -> Tensor:
        """What entered the last layer of the head, with its graph."""
        self._unknown('what entered the head')

    @property
    def output(self) -> Tensor:
        """What the last layer of the head returned, with its graph."""
        self._unknown('what the head returned')

    def check_changeable(self) -> None:
        """Raise a ValueError if a representation is known to reach nothing, so that to change it is vain."""

    def samples_with(self, index: int) -> Tensor | None:
        """Return which samples have a modality of the batch, bool ``(N,)`` on the CPU; None if all have it.

        Of the others its representation, prediction and confidence are zero.
        """
        return None

    def present(self) -> Tensor | None:
        """Return which modalities each sample has, bool ``(N, M)`` on the CPU; None if all have all."""
        return None

    def counts(self) -> Tensor:
        """Return the scores of the guides as ratios of sums, ``(M, K, 2)``, without a graph.

        Score ``i`` is the mean over the ``K`` parts of ``counts[i, :, 0] / counts[i, :, 1]``. Sums of counts
        over micro-batches and processes are the counts of the union of their samples.
        """
        self._unknown('the scores of the guides')

    def labels(self) -> Tensor:
        """Return the class of each sample, int64 ``(N,)``, for classification with one label a sample."""
        self._unknown('the class of each sample')

    def representations(self) -> list[list[Tensor] | None]:
        """Return the floating point tensors of each modality's representation, with their graphs."""
        self._unknown('representations')

    def vectors(self) -> list[Tensor | None]:
        """Return each modality's representation ``(N, C_i)``, averaged over positions, with its graph."""
        self._unknown('representations')

    def teachers(self) -> list[Tensor | None]:
        """Return :meth:`vectors` as each modality's teacher makes them, without a graph."""
        self._unknown('the representations of teachers')

    def predictions(self) -> list[Tensor | None]:
        """Return each guide's output, like the head's, with the graph that :meth:`at_encoders` needs."""
        self._unknown('the predictions of the guides')

    def confidences(self) -> list[Tensor | None]:
        """Return each guide's probability of the truth, by sample, ``(N,)``, without a graph."""
        self._unknown('the probabilities of the guides')

    def confidences_of(self, output: Tensor) -> Tensor:
        """Return the probability of the truth, by sample, ``(N,)``, of an output like that of the head."""
        self._unknown('probabilities')

    def class_logits(self, output: Tensor) -> Tensor:
        """Return logits ``(N, C, *)`` of classes that exclude each other, of an output like the head's.

        That is the output as it is, unless its channels mean something else, such as regions that overlap.
        """
        return output

    def shares(self) -> list[Tensor | None] | None:
        """Return each modality's share of the head's output, ``(N, ...)``, without a graph; their sum is it.

        None where the output is not affine in the representations, so that there are no such shares, or where
        representations have no graph.
        """
        return None

    def adds_up(self) -> bool | None:
        """Return whether the head's output is affine in the representations, or None if that isn't known."""
        return None

    def unimodal_losses(self) -> list[Tensor | None]:
        """Return the ``M`` losses of the guides, scalars whose gradients reach the encoders alone."""
        self._unknown('the losses of the guides at the encoders')

    def at_encoders(self, loss: Tensor) -> Tensor:
        """Return ``loss``, a scalar of :meth:`predictions`, such that its gradient reaches encoders alone."""
        self._unknown('the predictions of the guides')

    def rerun(self, changes: Mapping[int, Change]) -> Pass:
        """Return another pass on the same batch, with representations changed, by index of the modality.

        It is in evaluation mode: without dropout, and running statistics stay.
        """
        self._unknown('what the model would predict otherwise')

    def gradients(
        self, loss: Tensor, parameters: Sequence[Tensor], create_graph: bool = False
    ) -> list[Tensor]:
        """Return the gradients of ``loss``, a scalar of this pass, at ``parameters``; its graph stays.

        The loss is multiplied by :attr:`loss_scale` and the gradients divided by it, so that in half
        precision small ones don't vanish on their way.

        Args:
            loss: What is differentiated.
            parameters: At which, or at other tensors of its graph; one that it does not depend on gets zero.
            create_graph: Whether the gradients can be differentiated again.

        Raises:
            RuntimeError: If the parameters are hidden by activation checkpointing.
        """
        if not parameters:
            return []
        scale = None if self.loss_scale is None else self.loss_scale.to(loss)
        grads = torch.autograd.grad(
            loss,
            parameters,
            scale,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
        if all(grad is None for grad in grads) and _has_node(loss, HIDING):
            raise RuntimeError(
                'Gradients at an encoder are asked for before backward, but it runs inside of '
                'torch.utils.checkpoint with use_reentrant=True, which hides its parameters: set '
                'use_reentrant=False.'
            )
        found = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=True)]
        return found if scale is None else [grad / scale for grad in found]

    def _unknown(self, what: str) -> NoReturn:
        raise ValueError(
            f'A balancer asks for {what}, which a {type(self).__name__} does not know. The passes of a '
            'GuidedModel know it; a loop of your own can give a subclass of Pass that answers.'
        )


def _has_node(result: Tensor, name: str) -> bool:
    """Return whether the graph of ``result`` has a node of this name."""
    waiting, seen = [result.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name() == name:
            return True
        seen.add(node)
        waiting += [further for further, _ in node.next_functions]
    return False


class PlainPass(Pass):
    """What a plain training loop tells of a pass: losses, scores and last layers.

    Args:
        task_loss: See :attr:`Pass.task_loss`.
        guide_losses: See :attr:`Pass.guide_losses`.
        counts: Function that returns :meth:`Pass.counts`, since a step that measures nothing need not pay
            for them.
        head_weight: See :attr:`Pass.head_weight`.
        guide_weights: See :attr:`Pass.guide_weights`.
    """

    def __init__(
        self,
        task_loss: Tensor,
        guide_losses: Sequence[Tensor],
        counts: Callable[[], Tensor],
        head_weight: nn.Parameter,
        guide_weights: Sequence[nn.Parameter],
    ) -> None:
        self._task_loss = task_loss
        self._guide_losses = guide_losses
        self._counts = counts
        self._head_weight = head_weight
        self._guide_weights = guide_weights

    @property
    def task_loss(self) -> Tensor:
        return self._task_loss

    @property
    def guide_losses(self) -> Sequence[Tensor]:
        return self._guide_losses

    @property
    def head_weight(self) -> Tensor:
        return self._head_weight

    @property
    def guide_weights(self) -> Sequence[nn.Parameter]:
        return self._guide_weights

    def counts(self) -> Tensor:
        return self._counts()


def sum_of_present(values: Iterable[Tensor | None]) -> Tensor:
    """Return the sum of the values, scalars, of the modalities that a batch has; at least one."""
    return reduce(torch.add, (value for value in values if value is not None))


def sample_logits(output: Tensor) -> Tensor:
    """Return the logits of each sample ``(N, C)`` of an output ``(N, C, *)``: the mean over positions.

    Half precision becomes single, since the loss is taken outside of autocast.
    """
    output = output.to(torch.promote_types(output.dtype, torch.float32))
    return output.flatten(2).mean(2) if output.ndim > 2 else output
