"""What a method may ask about a forward pass beyond losses and scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

# What is done to each floating point tensor of a representation on its way into fusion.
Change = Callable[[Tensor], Tensor]


class Outcome(NamedTuple):
    """What the fused model reached on the batch.

    Attributes:
        loss: Its loss, a scalar with its graph.
        confidences: Its probability of the truth, by sample, ``(N,)``, with its graph.
    """

    loss: Tensor
    confidences: Tensor


class GuidedPass(ABC):
    """One forward pass of a model with ``M`` guided modalities on ``N`` samples.

    :class:`~mmcggm.models.GuidedModel` answers; a plain training loop may answer in its own way. A
    modality that the batch lacks is None in every list.
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
    def labels(self) -> Tensor:
        """Return the class of each sample, int64 ``(N,)``.

        Raises:
            ValueError: If the task is not classification with one label a sample.
        """

    @abstractmethod
    def fused(self) -> Outcome:
        """Return what the fused model reached in this pass."""

    @abstractmethod
    def rerun(self, changes: Mapping[int, Change]) -> Outcome:
        """Return what the fused model reaches when representations are changed, by index of the modality.

        It is another forward pass: dropout is drawn anew and running statistics move once more.
        """
