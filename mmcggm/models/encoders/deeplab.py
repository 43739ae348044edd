"""The encoder of DeepLabV3+ (Chen et al., ECCV 2018, arXiv 1802.02611)."""

from __future__ import annotations

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.decode_heads.aspp_head import ASPPModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmcggm.registry import MODELS


@MODELS.register_module()
class DeepLabEncoder(BaseModule):
    """A backbone and atrous spatial pyramid pooling (ASPP) on its last feature map.

    Args:
        backbone: Config of a backbone that returns a pyramid, for example ``mmseg.ResNet``.
        in_channels: Channels of the backbone's last feature map.
        channels: Channels of ASPP's output.
        dilations: Dilation of each branch; 1 means a 1 x 1 convolution.
        dropout: Dropout rate on ASPP's output.
        norm_cfg: Normalisation layer of ASPP.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        backbone: dict,
        in_channels: int = 2048,
        channels: int = 256,
        dilations: tuple[int, ...] = (1, 2, 4, 6),
        dropout: float = 0.5,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        act_cfg = dict(type='ReLU')
        self.backbone = MODELS.build(backbone)
        self.image_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        )
        self.branches = ASPPModule(dilations, in_channels, channels, None, norm_cfg, act_cfg)
        self.project = ConvModule(
            (len(dilations) + 1) * channels, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the backbone's first feature map and ASPP's output.

        Args:
            x: Images ``(N, C, H, W)``.

        Returns:
            With a ResNet of output stride 16: ``(N, 256, H / 4, W / 4)`` and
            ``(N, channels, H / 16, W / 16)``.
        """
        pyramid = self.backbone(x)
        low, high = pyramid[0], pyramid[-1]
        pooled = self.image_pool(high)
        pooled = F.interpolate(pooled, size=high.shape[2:], mode='bilinear', align_corners=True)
        return low, self.dropout(self.project(torch.cat([*self.branches(high), pooled], dim=1)))
