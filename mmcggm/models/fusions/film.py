"""Fusion by feature-wise linear modulation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmcggm.registry import MODELS

from .base import VectorFusion


@MODELS.register_module()
class FiLMFusion(VectorFusion):
    """Feature-wise linear modulation (Perez et al., AAAI 2018, arXiv 1709.07871).

    One modality's features are scaled and shifted as the others say:
    ``(1 + γ) ⊙ W h_k + β`` with ``[γ; β] = V [h_i for i ≠ k] + b``.

    Args:
        num_modalities: M.
        modulated: Index k, among the modalities, of the one that is modulated.
        **vectors: Of :class:`VectorFusion`: ``in_channels``, ``dim``, ``pool``.

    Raises:
        ValueError: If there is no such modality, or no other.
    """

    def __init__(self, num_modalities: int, modulated: int = 0, **vectors) -> None:
        super().__init__(num_modalities, **vectors)
        if num_modalities < 2 or not 0 <= modulated < num_modalities:
            raise ValueError(
                'FiLMFusion needs at least two modalities and `fusion.modulated` to be the index of one, got '
                f'{num_modalities} modalities and {modulated}.'
            )
        self.modulated = modulated
        self.features = nn.Linear(self.in_channels[modulated], self.dim)
        self.condition = nn.Linear(sum(self.in_channels) - self.in_channels[modulated], 2 * self.dim)

    def fuse(self, vectors: list[Tensor]) -> Tensor:
        others = [vector for index, vector in enumerate(vectors) if index != self.modulated]
        scale, shift = self.condition(torch.cat(others, dim=1)).chunk(2, dim=1)
        return (1 + scale) * self.features(vectors[self.modulated]) + shift
