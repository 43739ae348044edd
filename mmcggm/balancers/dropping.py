"""Which samples lose which modalities at random, and never all that they have."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from .pass_record import Change, SampleChange


def dropping(probabilities: Tensor, scale: Tensor | float = 1.0) -> dict[int, Change]:
    """Return the changes of one pass that drop modalities sample by sample, by index of the modality.

    All tensors of all representations share one draw, see :func:`draw_kept`.

    Args:
        probabilities: Of losing each, ``(M,)``.
        scale: By what is multiplied what is kept.
    """
    drawn: list[Tensor] = []

    def drop(x: Tensor, present: Tensor | None, index: int) -> Tensor:
        if not drawn:
            drawn.append(draw_kept(probabilities.to(x.device), len(x), present))
        return x * (drawn[0][:, index] * scale).to(x).view(-1, *[1] * (x.ndim - 1))

    return {index: SampleChange(partial(drop, index=index)) for index in range(len(probabilities))}


def draw_kept(probabilities: Tensor, samples: int, present: Tensor | None = None) -> Tensor:
    """Draw which modalities samples keep, bool ``(N, M)``, at least one each of those that they have.

    Args:
        probabilities: Of losing each, ``(M,)``.
        samples: N.
        present: Which modalities each sample has, bool ``(N, M)``; None if all have all. A sample that has
            none keeps none.
    """
    device = probabilities.device
    present = torch.ones(samples, len(probabilities), dtype=torch.bool) if present is None else present
    present = present.to(device)
    kept = (torch.rand(samples, len(probabilities), device=device) >= probabilities) & present
    # The greatest of random numbers is that of each modality equally often.
    chosen = torch.rand(samples, len(probabilities), device=device).masked_fill(~present, -1).argmax(1)
    spared = torch.nn.functional.one_hot(chosen, len(probabilities)).bool() & present
    return torch.where(kept.any(1, keepdim=True), kept, spared)
