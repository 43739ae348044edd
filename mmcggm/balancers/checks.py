"""What a config or a training loop may get wrong, as errors that say so; none of them reads a tensor."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

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


def check_last_layers(seen: Pass, encoders: Sequence[Sequence[nn.Parameter]]) -> None:
    """Raise a ValueError unless each guide has a weight of its head's shape, and no head is in an encoder."""
    shapes = [tuple(weight.shape) for weight in seen.guide_weights]
    expected = [tuple(weight.shape) for weight in seen.head_weights]
    if shapes != expected:
        raise ValueError(
            f'`guide_weights` of the {type(seen).__name__} have the shapes {shapes}, but each of the '
            f'{len(expected)} guides needs a last layer whose weight has the shape of `head_weight`, '
            f"{expected}, since their gradients are compared (unless CGGM's `direction` is 'none')."
        )
    heads = {id(weight) for weight in seen.head_weights}
    if any(id(parameter) in heads for parameters in encoders for parameter in parameters):
        raise ValueError(
            f'`head_weight` of the {type(seen).__name__} belongs to an encoder, so it is not the head of the '
            'fused model. Take the last layer after fusion, or a smaller encoder.'
        )


def check_adds_up(seen: Pass, name: str) -> None:
    """Raise a ValueError if fusion does not add up, as a method that takes turns needs it.

    Asking costs two backward passes through fusion.
    """
    if seen.adds_up() is False:
        raise ValueError(
            f'{name} needs a fusion that adds up: in a turn one modality is seen alone, and what they say '
            'together must be the sum of what they say alone. But the output of `head` is not affine in the '
            'representations; between them is something like ReLU, normalisation or attention. Add the '
            "representations up before the head (`SumFusion` or `ConcatFusion` in this project's models), "
            f'choose another method, or set `any_fusion=True` of {name}, and modalities meet for the first '
            'time where none has its turn.'
        )
