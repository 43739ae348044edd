"""Fusion by a low-rank tensor."""

from __future__ import annotations

import math

from torch import Tensor, nn

from mmcggm.registry import MODELS

from .base import VectorFusion


@MODELS.register_module()
class LowRankTensorFusion(VectorFusion):
    """Products of all modalities' features (Liu et al., ACL 2018, arXiv 1806.00064).

    The outer product ``Z`` of all ``[h_i; 1]``, of ``Π (C_i + 1)`` elements, contracted with a weight of
    rank R: ``Σ_r Π_i W_i^r [h_i; 1]``, which needs no ``Z``. Each factor is a linear layer, whose bias is
    the weight of the 1.

    Args:
        num_modalities: M.
        rank: R.
        **vectors: Of :class:`VectorFusion`: ``in_channels``, ``dim``, ``pool``.

    Raises:
        ValueError: If ``rank`` is less than 1.
    """

    def __init__(self, num_modalities: int, rank: int = 4, **vectors) -> None:
        super().__init__(num_modalities, **vectors)
        if rank < 1:
            raise ValueError(f'`fusion.rank` must be at least 1, got {rank}.')
        self.rank = rank
        self.factors = nn.ModuleList(nn.Linear(c, rank * self.dim) for c in self.in_channels)
        for factor in self.factors:
            # Variance 1 of the result for features of variance 1, whatever the number of modalities.
            std = rank ** (-0.5 / num_modalities) / math.sqrt(factor.in_features + 1)
            nn.init.normal_(factor.weight, std=std)
            nn.init.normal_(factor.bias, std=std)

    def fuse(self, vectors: list[Tensor]) -> Tensor:
        product = 1
        for factor, vector in zip(self.factors, vectors, strict=True):
            product = product * factor(vector)
        return product.unflatten(1, (self.rank, self.dim)).sum(dim=1)
