"""What a method may ask about a forward pass beyond losses and scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

# What is done to each floating point tensor of a representation on its way into fusion.
Change = Callable[[Tensor], Tensor]


def sample_logits(output: Tensor) -> Tensor:
    """Return the logits of each sample ``(N, C)`` of an output ``(N, C, *)``: the mean over positions.

    Half precision becomes single, since the loss is taken outside of autocast.
    """
    output = output.to(torch.promote_types(output.dtype, torch.float32))
    return output.flatten(2).mean(2) if output.ndim > 2 else output


class Outcome(NamedTuple):
    """What the fused model reached on the batch.

    Attributes:
        loss: Its loss, a scalar with its graph.
        confidences: Its probability of the truth, by sample, ``(N,)``, with its graph.
        output: What the last layer of its head returned, with its graph.
    """

    loss: Tensor
    confidences: Tensor
    output: Tensor


class GuidedPass(ABC):
    """One forward pass of a model with ``M`` guided modalities on ``N`` samples.

    :class:`~mmcggm.guided.GuidedModel` answers; a plain training loop may answer in its own way. A
    modality that the batch lacks is None in every list.
    """

    @abstractmethod
    def encoders(self) -> Sequence[Sequence[nn.Parameter]]:
        """Return the trainable parameters of each modality's encoder, as ``adjust_gradients`` gets them."""

    @abstractmethod
    def task_loss(self) -> Tensor:
        """Return the fused model's loss, a scalar with its graph.

        (``GuidedStep.task_loss`` is the same, but as backward sees it: with mixed precision, scaled.)
        """

    @abstractmethod
    def unimodal_losses(self) -> list[Tensor | None]:
        """Return the ``M`` losses of the guides, scalars whose gradient goes to the encoders alone.

        (The losses in ``GuidedStep.guide_losses`` reach the guides alone.)
        """

    @abstractmethod
    def vectors(self) -> list[Tensor | None]:
        """Return each modality's representation ``(N, C_i)``, averaged over positions, with its graph."""

    @abstractmethod
    def confidences(self) -> list[Tensor | None]:
        """Return each guide's probability of the truth, by sample, ``(N,)``, without a graph.

        Raises:
            ValueError: If the task has no probabilities.
        """

    @abstractmethod
    def confidences_of(self, output: Tensor) -> Tensor:
        """Return the probability of the truth, by sample, ``(N,)``, of an output like that of the head.

        Raises:
            ValueError: If the task has no probabilities.
        """

    @abstractmethod
    def predictions(self) -> list[Tensor | None]:
        """Return each guide's output, like the head's, with the graph that :meth:`at_encoders` needs."""

    @abstractmethod
    def at_encoders(self, loss: Tensor) -> Tensor:
        """Return ``loss``, a scalar of :meth:`predictions`, such that its gradient reaches encoders alone."""

    @abstractmethod
    def teachers(self) -> list[Tensor | None]:
        """Return :meth:`vectors` as each modality's teacher makes them, without a graph.

        Raises:
            ValueError: If there are no teachers.
        """

    @abstractmethod
    def labels(self) -> Tensor:
        """Return the class of each sample, int64 ``(N,)``.

        Raises:
            ValueError: If the task is not classification with one label a sample.
        """

    @abstractmethod
    def head_input(self) -> Tensor:
        """Return what entered the last layer of the fused model's head, with its graph."""

    @abstractmethod
    def fused(self) -> Outcome:
        """Return what the fused model reached in this pass."""

    @abstractmethod
    def rerun(self, changes: Mapping[int, Change]) -> Outcome:
        """Return what the fused model reaches when representations are changed, by index of the modality.

        It is another forward pass, in evaluation mode: without dropout, and running statistics stay.
        """
