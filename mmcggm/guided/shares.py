"""Each modality's share of the fused output, exact where fusion is affine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmcggm.balancers import Change, Pass

TOLERANCE = 1e-4  # of the largest change of the output; above single precision's error
MAGNIFIED = 8  # so that a function that bends shows it also where representations are small


def is_affine(seen: Pass, present: Sequence[int], count: int) -> bool | None:
    """Try on a batch whether the head's output is affine in the representations.

    It is if what the modalities add to it, each alone, comes to what they add together. It takes
    ``len(present) + 2`` passes without gradients.

    Args:
        seen: The pass of the batch.
        present: Indices of the modalities that the batch has.
        count: M.

    Returns:
        None if outputs are not finite, which tells nothing.
    """

    def output(kept: Sequence[int]) -> Tensor:
        changes: Mapping[int, Change] = {
            i: _magnified if i in kept else torch.zeros_like for i in range(count)
        }
        return seen.rerun(changes).output.float()

    with torch.no_grad():
        nothing = output([])
        together = output(present) - nothing
        alone = sum((output([index]) - nothing for index in present), torch.zeros_like(nothing))
    if not together.isfinite().all():
        return None
    return bool((together - alone).abs().max() <= TOLERANCE * together.abs().max())


def affine_shares(
    output: Tensor, received: Sequence[Sequence[Tensor]], found: Sequence[Sequence[Tensor]]
) -> list[Tensor]:
    """Return each modality's share of an output that is affine in the representations.

    With the output ``f(z) = Σ_i J_i z_i + b`` of M modalities it is ``J_i h_i + b / M``: for one linear layer
    on the concatenation ``W_i h_i + b / M``, as in the code of OGM (Peng et al., CVPR 2022). Any affine
    function will do, such as a sum, or a projection before the head.

    Args:
        output: With its graph.
        received: By modality, the tensors ``z_i`` that entered fusion.
        found: By modality, the tensors ``h_i`` that the encoders made, which may have been changed since.

    Returns:
        A tensor a modality, without a graph, with the shape of the output.
    """
    direction = torch.zeros_like(output, requires_grad=True)
    tensors = [tensor for own in received for tensor in own]
    # J^T v is linear in v, and its derivative in direction z is J z.
    transposed = torch.autograd.grad(
        output, tensors, direction, retain_graph=True, create_graph=True, materialize_grads=True
    )
    parts = iter(transposed)
    rows = [[next(parts) for _ in own] for own in received]

    def product(row: Sequence[Tensor], vectors: Sequence[Tensor]) -> Tensor:
        reached = [(g, x.detach()) for g, x in zip(row, vectors, strict=True) if g.requires_grad]
        if not reached:
            return torch.zeros_like(output)
        grads, vectors = zip(*reached, strict=True)
        return torch.autograd.grad(grads, direction, vectors, retain_graph=True, materialize_grads=True)[0]

    offset = output.detach() - sum(product(row, z) for row, z in zip(rows, received, strict=True))
    return [product(row, h) + offset / len(rows) for row, h in zip(rows, found, strict=True)]


def _magnified(tensor: Tensor) -> Tensor:
    return tensor * MAGNIFIED
