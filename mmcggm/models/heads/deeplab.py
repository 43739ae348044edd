"""The decoder of DeepLabV3+ (Chen et al., ECCV 2018, arXiv 1802.02611), as CGGM's authors set it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn
from torch.nn import functional as F

from mmcggm.registry import MODELS


@MODELS.register_module()
class DeepLabV3PlusHead(BaseDecodeHead):
    """Joins high-level features with reduced low-level ones and classifies each pixel.

    Args:
        in_channels: Channels of the low-level and the high-level input.
        low_channels: Channels to which the low-level input is reduced.
        channels: Channels of the decoder.
        inner_dropout: Dropout rate between the decoder's convolutions; ``dropout_ratio`` is the rate
            before the classifier.
        **kwargs: Of ``mmseg``'s ``BaseDecodeHead``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        low_channels: int = 48,
        channels: int = 256,
        inner_dropout: float = 0.5,
        dropout_ratio: float = 0.1,
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=list(in_channels),
            channels=channels,
            in_index=[0, 1],
            input_transform='multiple_select',
            dropout_ratio=dropout_ratio,
            **kwargs,
        )
        layers = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.reduce = ConvModule(in_channels[0], low_channels, 1, **layers)
        self.refine = nn.Sequential(
            ConvModule(in_channels[1] + low_channels, channels, 3, padding=1, **layers),
            nn.Dropout(inner_dropout),
            ConvModule(channels, channels, 3, padding=1, **layers),
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits ``(N, num_classes, H, W)`` at the size of the low-level input."""
        low, high = self._transform_inputs(inputs)
        low = self.reduce(low)
        high = F.interpolate(high, size=low.shape[2:], mode='bilinear', align_corners=True)
        return self.cls_seg(self.refine(torch.cat([high, low], dim=1)))
