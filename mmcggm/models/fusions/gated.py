"""Fusion by gates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmcggm.registry import MODELS

from .base import VectorFusion


@MODELS.register_module()
class GatedFusion(VectorFusion):
    """The gated multimodal unit (Arevalo et al., ICLR workshop 2017, arXiv 1702.01992).

    ``Σ_i σ(V_i [h_1; …; h_M]) ⊙ tanh(W_i h_i)``: all modalities decide how much of each passes. It is
    the unit for any number of modalities; the paper's for two of them shares one gate, ``z`` and ``1 - z``.

    Args:
        num_modalities: M.
        **vectors: Of :class:`VectorFusion`: ``in_channels``, ``dim``, ``pool``.
    """

    def __init__(self, num_modalities: int, **vectors) -> None:
        super().__init__(num_modalities, **vectors)
        self.contents = nn.ModuleList(nn.Linear(c, self.dim) for c in self.in_channels)
        self.gates = nn.Linear(sum(self.in_channels), num_modalities * self.dim)

    def fuse(self, vectors: list[Tensor]) -> Tensor:
        gates = self.gates(torch.cat(vectors, dim=1)).sigmoid().chunk(len(vectors), dim=1)
        contents = [layer(vector).tanh() for layer, vector in zip(self.contents, vectors, strict=True)]
        return sum(gate * content for gate, content in zip(gates, contents, strict=True))
