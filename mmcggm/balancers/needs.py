"""What a balancing method needs from a training, and what it acts on: declared in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Part = Literal['representations', 'loss', 'gradients', 'rates']


@dataclass(frozen=True)
class Needs:
    """What a method declares of itself; who runs a training checks it before anything is trained.

    Attributes:
        acts_on: What the method changes: the ``'representations'`` on their way into fusion, the ``'loss'``,
            the encoders' ``'gradients'``, or their learning ``'rates'``.
        alone_on: What no other method may change beside this one. See :class:`~mmcggm.balancers.Combined`.
        validation: What ``see_validation`` must see: the guides' ``'scores'``, also ``'losses'``, or None.
        rates: Whether the optimizer needs a parameter group an encoder, for ``rate_factors``.
        epochs: Whether the method counts epochs, so that a data set without a length is refused.
        survey: Whether the method looks at whole data sets.
        whole_encoders: Whether encoders must not be sharded over processes.
        second_derivatives: Whether the fused model's loss is differentiated twice.
        reruns: Whether the method asks what the model would predict from other representations.
        teachers: Whether it asks for the representations of teachers.
    """

    acts_on: frozenset[Part] = frozenset()
    alone_on: frozenset[Part] = frozenset()
    validation: Literal['scores', 'losses'] | None = None
    rates: bool = False
    epochs: bool = False
    survey: bool = False
    whole_encoders: bool = False
    second_derivatives: bool = False
    reruns: bool = False
    teachers: bool = False


def acting_on(*parts: Part, alone: bool = True, **needs: Any) -> Needs:
    """Return the needs of a method that changes ``parts``, if ``alone`` as the only one that does."""
    return Needs(frozenset(parts), frozenset(parts if alone else ()), **needs)
