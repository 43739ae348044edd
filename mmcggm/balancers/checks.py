"""What a training loop may get wrong, as errors that say so; none of them reads a tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from .balancer import Balancer, GuidedStep


def check_arguments(owner: str, *needs: tuple[bool, str]) -> None:
    """Raise a ValueError that says the first of ``needs``, ``(holds, needed)``, that doesn't hold."""
    for holds, needed in needs:
        if not holds:
            raise ValueError(f'{owner} needs {needed}.')


def measured_counts(step: GuidedStep) -> Tensor:
    """Return ``step.counts()``, or raise a ValueError if its shape is not ``(M, K, 2)``."""
    counts, modalities = step.counts(), len(step.guide_losses)
    shape = tuple(counts.shape) if isinstance(counts, Tensor) else type(counts).__name__
    if not isinstance(counts, Tensor) or len(shape) != 3 or shape[::2] != (modalities, 2):
        raise ValueError(
            f'`counts` of the GuidedStep returned {shape}, but must return a tensor '
            f'({modalities}, K, 2): for each of the {modalities} `guide_losses` and each of K parts, what '
            'was reached and of how many. Accuracy has one part: [[[correct, samples]], ...].'
        )
    return counts.detach()


def check_guide_weights(step: GuidedStep) -> None:
    """Raise a ValueError unless there is a weight of the head's shape for each guide's loss."""
    shapes, expected = [tuple(weight.shape) for weight in step.guide_weights], tuple(step.head_weight.shape)
    if len(shapes) != len(step.guide_losses) or any(shape != expected for shape in shapes):
        raise ValueError(
            f'`guide_weights` of the GuidedStep have the shapes {shapes}, but each of the '
            f'{len(step.guide_losses)} guides needs a last layer whose weight has the shape {expected} of '
            "`head_weight`, since their gradients are compared (unless CGGM's `direction` is 'none')."
        )


def by_encoder(
    balancer: Balancer, encoders: Sequence[Sequence[nn.Parameter]], values: Iterable[Any]
) -> list[tuple[Sequence[nn.Parameter], Any]]:
    """Return the parameters of each encoder with its entry of ``values``, one a modality.

    Raises:
        ValueError: If there aren't as many encoders, or their parameters are not in a list an encoder.
    """
    encoders, values = list(encoders), list(values)
    flat = any(isinstance(parameters, Tensor) for parameters in encoders)
    if flat or len(encoders) != len(values):
        given = f'{len(encoders)} single parameters' if flat else f'lists for {len(encoders)} encoders'
        raise ValueError(
            f'{type(balancer).__name__}.adjust_gradients needs a list of parameters for each of the '
            f'{len(values)} modalities, in their order, but got {given}: '
            '[list(encoder.parameters()) for encoder in encoders].'
        )
    return list(zip(encoders, values, strict=True))
