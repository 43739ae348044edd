"""Fusion by concatenation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmcggm.registry import MODELS

from .base import VectorFusion


@MODELS.register_module()
class ConcatFusion(VectorFusion):
    """A linear layer on the concatenation, ``W [h_1; …; h_M] + b``.

    The joint representation of Baltrušaitis et al. (TPAMI 2019, arXiv 1705.09406), and the ``concat`` of
    Peng et al. (CVPR 2022, arXiv 2203.15332).

    Args:
        num_modalities: M.
        **vectors: Of :class:`VectorFusion`: ``in_channels``, ``dim``, ``pool``.
    """

    def __init__(self, num_modalities: int, **vectors) -> None:
        super().__init__(num_modalities, **vectors)
        self.project = nn.Linear(sum(self.in_channels), self.dim)

    def fuse(self, vectors: list[Tensor]) -> Tensor:
        return self.project(torch.cat(vectors, dim=1))
