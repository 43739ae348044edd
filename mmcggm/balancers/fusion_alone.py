"""Fusion run again on the representations of a pass, and gradients at them carried on to the encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from .pass_record import Change, Pass, sum_of_present

# By modality, the tensors of its representation, without a graph; None where a batch lacks it.
Leaves = Sequence[Sequence[Tensor] | None]


def leaves_of(seen: Pass) -> Leaves:
    """Return the representations of a pass such that gradients at them, and no further, can be asked for."""
    return [
        None if tensors is None else [tensor.detach().requires_grad_() for tensor in tensors]
        for tensors in seen.representations()
    ]


def fused_again(seen: Pass, leaves: Leaves, changes: Mapping[int, Change] | None = None) -> Pass:
    """Return another pass whose fusion gets ``leaves``, with ``changes`` of some, by index of the modality.

    What encoders make in it is not used: fusion, in evaluation mode as in every :meth:`Pass.rerun`, sees what
    they made of the batch before. With the representations of ``seen`` itself instead of leaves, gradients go
    on to the encoders.
    """
    changes = changes or {}
    return seen.rerun(
        {i: _giving(tensors, changes.get(i)) for i, tensors in enumerate(leaves) if tensors is not None}
    )


def carried(seen: Pass, value: Tensor, flows: Sequence[Sequence[Tensor] | None]) -> Tensor:
    """Return the scalar ``value`` with a gradient of its own: ``flows`` at the representations of ``seen``.

    So it reaches the encoders alone. ``flows`` are like :data:`Leaves`.
    """
    pairs = zip(flows, seen.representations(), strict=True)
    inner = sum_of_present(
        (g * h).sum() for gs, hs in pairs if gs and hs for g, h in zip(gs, hs, strict=True)
    )
    return value.detach() + inner - inner.detach()


def _giving(tensors: Sequence[Tensor], change: Change | None) -> Change:
    """Return a change that gives ``tensors`` one after the other, in the order of a representation's."""
    given = iter(tensors)

    def give(x: Tensor) -> Tensor:
        tensor = next(given).to(x.dtype)  # the pass before may have been in half precision, this one is not
        return tensor if change is None else change(tensor)

    return give
