"""The decoder of SegFormer (Xie et al., NeurIPS 2021, arXiv 2105.15203) for volumes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmcggm.registry import MODELS

from .volume import VolumeHead


@MODELS.register_module()
class Segformer3DHead(VolumeHead):
    """Brings each level to few channels and one size, joins them, and classifies; as ``mmseg``'s for slices.

    A cheap decoder, for guides: its convolutions are 1 x 1 x 1, on the grid of the finest level that it is
    given.

    Args:
        in_channels: Channels of the levels that it takes.
        in_index: Which levels of the pyramid these are, the finest first.
        channels: Channels to which each level is brought, and that the classifier sees.
        norm_cfg: Normalisation layer.
        **kwargs: Of :class:`VolumeHead`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        channels: int,
        norm_cfg: dict | None = dict(type='IN3d', affine=True),
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=list(in_channels),
            in_index=list(in_index),
            channels=channels,
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            **kwargs,
        )
        layers = dict(kernel_size=1, conv_cfg=dict(type='Conv3d'), norm_cfg=norm_cfg, act_cfg=self.act_cfg)
        self.reduce = nn.ModuleList(ConvModule(width, channels, **layers) for width in in_channels)
        self.join = ConvModule(channels * len(in_channels), channels, **layers)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits ``(N, num_classes, D, H, W)`` at the size of the finest level that it takes."""
        levels = self._transform_inputs(inputs)
        size = levels[0].shape[2:]
        reduced = [
            self.resized(reduce(level), size) for reduce, level in zip(self.reduce, levels, strict=True)
        ]
        return self.cls_seg(self.join(torch.cat(reduced, dim=1)))
