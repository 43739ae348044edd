"""Coalitions of modalities, and what each modality contributes to them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import factorial
from typing import TypeAlias

import torch
from torch import Tensor

from .pass_record import Change

# Indices of the modalities that take part; the others are masked.
Coalition: TypeAlias = frozenset[int]


def coalitions(count: int) -> list[Coalition]:
    """Return the ``2^count`` subsets of ``count`` modalities, from the empty one to that of all."""
    return [frozenset(chosen) for size in range(count + 1) for chosen in combinations(range(count), size)]


def masking(coalition: Coalition, count: int) -> dict[int, Change]:
    """Return the changes that set the representations of all modalities outside ``coalition`` to zero."""
    return {index: torch.zeros_like for index in range(count) if index not in coalition}


def shapley_values(values: Mapping[Coalition, Tensor | float]) -> Tensor:
    """Return what each of ``M`` modalities contributes to the value of all together.

    Exactly, from the value ``v`` of each coalition:

        ``φ_i = Σ_{S ∌ i} |S|! (M - |S| - 1)! / M! · (v(S ∪ {i}) - v(S))``

    It is the mean over all orders in which the modalities could join of what ``i`` adds when it joins.
    ``Σ_i φ_i = v(all) - v(∅)``. (Shapley, A value for n-person games, 1953.)

    Args:
        values: The value of each of the ``2^M`` :func:`coalitions`, a number or a tensor ``(*)``.

    Returns:
        The contributions, ``(M, *)``, differentiable with respect to the values.

    Raises:
        ValueError: If a coalition has no value, or a value is of no coalition.
    """
    count = len(frozenset().union(*values))
    expected = coalitions(count)
    if count == 0 or set(values) != set(expected):
        missing = [sorted(coalition) for coalition in expected if coalition not in values]
        raise ValueError(
            'Shapley values need the value of every subset of the modalities 0, 1, ..., M - 1 (M at least '
            f'1), the empty one included; got {[sorted(c) for c in values]}, which lacks {missing}.'
        )
    stacked = torch.stack([torch.as_tensor(values[coalition]) for coalition in expected])
    stacked = stacked.to(torch.promote_types(stacked.dtype, torch.float32))
    return torch.tensordot(_shapley_weights(expected, count).to(stacked), stacked, dims=1)


def _shapley_weights(order: list[Coalition], count: int) -> Tensor:
    """Return the weight ``(M, 2^M)`` of each coalition's value in each modality's contribution."""

    def weight(index: int, coalition: Coalition) -> float:
        others = len(coalition - {index})
        share = factorial(others) * factorial(count - others - 1) / factorial(count)
        return share if index in coalition else -share

    weights = [[weight(index, coalition) for coalition in order] for index in range(count)]
    return torch.tensor(weights, dtype=torch.float64)
