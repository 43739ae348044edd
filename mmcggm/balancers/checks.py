"""What a config or a training loop may get wrong, as errors that say so; none of them reads a tensor."""

from __future__ import annotations

from torch import Tensor

from .pass_record import Pass


def check_arguments(owner: str, *needs: tuple[bool, str]) -> None:
    """Raise a ValueError that says the first of ``needs``, ``(holds, needed)``, that doesn't hold."""
    for holds, needed in needs:
        if not holds:
            raise ValueError(f'{owner} needs {needed}.')


def measured_counts(seen: Pass, modalities: int) -> Tensor:
    """Return ``seen.counts()``, or raise a ValueError if its shape is not ``(M, K, 2)``."""
    counts = seen.counts()
    shape = tuple(counts.shape) if isinstance(counts, Tensor) else type(counts).__name__
    if not isinstance(counts, Tensor) or len(shape) != 3 or shape[::2] != (modalities, 2):
        raise ValueError(
            f'`counts` of the {type(seen).__name__} returned {shape}, but must return a tensor '
            f'({modalities}, K, 2): for each of the {modalities} modalities and each of K parts, what '
            'was reached and of how many. Accuracy has one part: [[[correct, samples]], ...].'
        )
    return counts.detach()


def check_guide_weights(seen: Pass) -> None:
    """Raise a ValueError unless there is a weight of the head's shape for each guide's loss."""
    shapes, expected = [tuple(weight.shape) for weight in seen.guide_weights], tuple(seen.head_weight.shape)
    if len(shapes) != len(seen.guide_losses) or any(shape != expected for shape in shapes):
        raise ValueError(
            f'`guide_weights` of the {type(seen).__name__} have the shapes {shapes}, but each of the '
            f'{len(seen.guide_losses)} guides needs a last layer whose weight has the shape {expected} of '
            "`head_weight`, since their gradients are compared (unless CGGM's `direction` is 'none')."
        )
