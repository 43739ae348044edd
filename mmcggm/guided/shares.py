"""Each modality's share of the fused output, exact where fusion is affine."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

# What PyTorch says where the backward pass of an operation has no derivative.
NO_DERIVATIVE = re.compile('derivative|differentiate')


def is_affine(output: Tensor, received: Sequence[Sequence[Tensor]]) -> bool:
    """Return whether an output is affine in the tensors that entered fusion, as its graph shows.

    It is if its derivative does not depend on them. What selects, such as a maximum, counts as affine where
    it is: its derivative does not tell what it was selected by. A few affine layers, such as ``AvgPool2d``,
    do not show that they are, and count as not affine.

    Args:
        output: With its graph.
        received: By modality, the tensors that entered fusion.
    """
    direction, rows = _transposed(output, received)
    tensors = [tensor for own in received for tensor in own]
    total = sum((grad.sum() for row in rows for grad in row), direction.sum())
    try:
        grads = torch.autograd.grad(total, tensors, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        if NO_DERIVATIVE.search(str(error)):
            return False  # such as attention; PyTorch has second derivatives of all that is linear
        raise
    return all(grad is None for grad in grads)


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
    direction, rows = _transposed(output, received)

    def product(row: Sequence[Tensor], vectors: Sequence[Tensor]) -> Tensor:
        reached = [(g, x.detach()) for g, x in zip(row, vectors, strict=True) if g.requires_grad]
        if not reached:
            return torch.zeros_like(output)
        grads, vectors = zip(*reached, strict=True)
        return torch.autograd.grad(grads, direction, vectors, retain_graph=True, materialize_grads=True)[0]

    offset = output.detach() - sum(product(row, z) for row, z in zip(rows, received, strict=True))
    return [product(row, h) + offset / len(rows) for row, h in zip(rows, found, strict=True)]


def _transposed(output: Tensor, received: Sequence[Sequence[Tensor]]) -> tuple[Tensor, list[list[Tensor]]]:
    """Return v, zeros, and J^T v by modality and tensor, whose derivative in a direction z is J z."""
    direction = torch.zeros_like(output, requires_grad=True)
    tensors = [tensor for own in received for tensor in own]
    grads = iter(
        torch.autograd.grad(
            output, tensors, direction, retain_graph=True, create_graph=True, materialize_grads=True
        )
    )
    return direction, [[next(grads) for _ in own] for own in received]
