"""Fusion by addition."""

from __future__ import annotations

from torch import Tensor

from mmcggm.registry import MODELS

from .base import VectorFusion


@MODELS.register_module()
class SumFusion(VectorFusion):
    """The sum of the representations, each through a linear layer where its width isn't ``dim``.

    The coordinated sum of late fusion; the ``sum`` of Peng et al. (CVPR 2022, arXiv 2203.15332).

    Args:
        num_modalities: M.
        **vectors: Of :class:`VectorFusion`: ``in_channels``, ``dim``, ``pool``.
    """

    def __init__(self, num_modalities: int, **vectors) -> None:
        super().__init__(num_modalities, **vectors)
        self.project = self.projections()

    def fuse(self, vectors: list[Tensor]) -> Tensor:
        return sum(project(vector) for project, vector in zip(self.project, vectors, strict=True))
