"""What a balancing method sees of a training step, and where it may act."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from .pass_record import Change, GuidedPass


@dataclass
class GuidedStep:
    """One forward pass (a micro-batch) of a model with ``M`` guided modalities.

    Every sequence is in the order of the modalities.

    Attributes:
        task_loss: Scalar loss of the fused model, with its graph.
        guide_losses: ``M`` scalar losses of the guides, with their graphs.
        counts: Function that returns the scores as ratios of sums, shape ``(M, K, 2)``, no gradient:
            score ``i`` is the mean over the ``K`` parts of ``counts[i, :, 0] / counts[i, :, 1]``. Sums
            of counts over micro-batches and processes are the counts of the union of their samples.
            A function, since a step that measures nothing need not pay for them.
        head_weight: ``W``, the weight of the last layer of the fused model's head.
        guide_weights: ``W_i``, the weights of the guides' last layers, each with the shape of ``W``.
        guided_pass: What else a method may ask about the pass, or None where nobody answers.
    """

    task_loss: Tensor
    guide_losses: Sequence[Tensor]
    counts: Callable[[], Tensor]
    head_weight: nn.Parameter
    guide_weights: Sequence[nn.Parameter]
    guided_pass: GuidedPass | None = None


def scores_from_counts(counts: Tensor) -> Tensor:
    """Return the scores ``(M,)`` of ``counts`` ``(M, K, 2)``; parts without samples are left out.

    A score none of whose parts has samples is NaN.
    """
    seen = counts[..., 1] > 0
    ratios = counts[..., 0] / counts[..., 1].where(seen, torch.ones_like(counts[..., 1]))
    return ratios.where(seen, torch.zeros_like(ratios)).sum(-1) / seen.sum(-1)


def mean_of_others(values: Tensor, counted: Tensor | None = None) -> Tensor:
    """Return for each modality the mean of the other modalities' ``values`` ``(M,)``.

    Args:
        values: Of the modalities; zero where one is not counted.
        counted: Which of them count, bool ``(M,)``. Default: all.

    Returns:
        Shape ``(M,)``; zero where no other counts.
    """
    counted = torch.ones_like(values, dtype=torch.bool) if counted is None else counted
    return (values.sum() - values) / (counted.sum() - counted.int()).clamp(min=1)


def present(guided_pass: GuidedPass | None, balancer: Balancer) -> GuidedPass:
    """Return ``guided_pass``, or raise a ValueError that says what ``balancer`` misses."""
    if guided_pass is None:
        raise ValueError(
            f'{type(balancer).__name__} asks for more than losses and scores: give the GuidedStep a '
            '`guided_pass` (GuidedModel does).'
        )
    return guided_pass


def over_processes(
    tensor: Tensor, process_group: dist.ProcessGroup | None = None, mean: bool = False
) -> Tensor:
    """Return ``tensor`` summed (or averaged) over the processes that train together."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    tensor = tensor.contiguous().clone()
    dist.all_reduce(tensor, group=process_group)
    return tensor / dist.get_world_size(process_group) if mean else tensor


class Balancer:
    """A strategy that balances the modalities of a model during training; this one does nothing.

    A training step asks for :meth:`changes` before the forward pass, calls :meth:`adjust_loss` once for
    each micro-batch, between forward and backward, and :meth:`adjust_gradients` once for each update,
    between backward and clipping.

    Attributes:
        active: Whether the method acts. An inactive balancer goes on observing, so that it can be
            switched on in the middle of training.
        modalities: Their names, in order. Whoever runs the training sets them.
        survey: Function of ``'train'`` or ``'val'`` that runs the encoders on that whole data set, in
            evaluation mode, and returns for each modality its representations ``(N_i, C_i)`` and the classes
            ``(N_i,)`` of the samples that have it, on the CPU. Whoever runs the training sets it, if there
            is a validation set.
        training_progress: Fraction of training that is done, in [0, 1], for schedules. Whoever runs
            the training sets it.
        stats: What the last step saw, by name: tensors ``(M,)`` with an entry a modality, or scalars.
            They stay on the training device; reading them is what costs a synchronisation.
        events: How often something out of the ordinary was met, by description, likewise.
    """

    #: Whether the optimizer's groups must be split by encoder, see :meth:`scaled_updates`.
    needs_groups = False
    #: Whether :meth:`changes` hold in the validation of this training as well.
    changes_prediction = False
    #: What :meth:`observe_validation` must see: ``'scores'``, ``'losses'`` (with the scores), or None.
    needs_validation: str | None = None

    def __init__(self) -> None:
        self.active = True
        self.modalities: Sequence[str] = ()
        self.survey: Callable[[str], list[tuple[Tensor, Tensor]]] | None = None
        self.training_progress = 0.0
        self.stats: dict[str, Tensor] = {}
        self.events: dict[str, Tensor] = {}

    def changes(self) -> Mapping[int, Change]:
        """Return what is done to representations in the next forward pass, by index of the modality."""
        return {}

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Observe a forward pass; return a term to add to the loss before backward, or None."""

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        """Change the accumulated gradients in place, and commit what this update saw.

        Args:
            encoders: The parameters of each modality's encoder, in the order of the modalities.
            overflow: A scalar above zero where loss scaling found the gradients not finite, so that
                this update will be skipped and must leave no trace in the state.
        """

    @contextmanager
    def scaled_updates(self, optimizer: Optimizer) -> Iterator[None]:
        """Change what ``optimizer.step()`` does inside this context."""
        yield

    def end_epoch(self, encoders: Sequence[Sequence[nn.Parameter]]) -> None:
        """Act at the end of an epoch, for example on the encoders' parameters."""

    def observe_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
        """See what was reached on the validation set, if the training measures it.

        Args:
            scores: The ``M`` scores of the guides; one without samples is NaN.
            losses: The ``M`` losses of the guides and, last, the fused model's, if they are measured.
        """

    def count_event(self, description: str, happened: Tensor) -> None:
        """Count an event where the scalar ``happened`` is true, without reading it."""
        self.events[description] = self.events.get(description, 0) + happened.detach().long()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed training needs."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
