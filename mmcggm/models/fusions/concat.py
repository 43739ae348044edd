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
        project: Whether there is the linear layer. Without, the result is the concatenation, for a head
            that tells the modalities apart, and ``dim`` is the sum of ``in_channels``.
        **vectors: Of :class:`VectorFusion`: ``in_channels``, ``dim``, ``pool``.

    Raises:
        ValueError: If there is no linear layer and ``dim`` is another number.
    """

    def __init__(self, num_modalities: int, project: bool = True, **vectors) -> None:
        super().__init__(num_modalities, **vectors)
        width = sum(self.in_channels)
        if not project and self.dim != width:
            raise ValueError(
                f'`fusion.dim` is {self.dim}, but without `project` the {num_modalities} representations '
                f'have {width} channels together: set it to {width}.'
            )
        self.project = nn.Linear(width, self.dim) if project else nn.Identity()

    def fuse(self, vectors: list[Tensor]) -> Tensor:
        return self.project(torch.cat(vectors, dim=1))
