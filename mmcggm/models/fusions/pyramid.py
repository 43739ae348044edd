"""Fusion of the modalities' representations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcggm.registry import MODELS


@MODELS.register_module()
class PyramidConcatFusion(BaseModule):
    """Concatenates the modalities' feature maps at every level of their pyramids.

    Args:
        num_modalities: M.
        in_channels: Channels of one modality at each level.
        out_channels: Channels to which a 1 x 1 convolution reduces each level's concatenation, or
            None to leave it at ``M * in_channels``.
        norm_cfg: Normalisation after the 1 x 1 convolution.
        act_cfg: Activation after it.
        conv_cfg: Kind of the convolution; ``dict(type='Conv3d')`` for volumes.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        num_modalities: int,
        in_channels: Sequence[int],
        out_channels: Sequence[int] | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = dict(type='ReLU'),
        conv_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if out_channels is None:
            self.reduce = nn.ModuleList(nn.Identity() for _ in in_channels)
        else:
            self.reduce = nn.ModuleList(
                ConvModule(
                    num_modalities * c_in, c_out, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
                )
                for c_in, c_out in zip(in_channels, out_channels, strict=True)
            )

    def forward(self, pyramids: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Fuse ``M`` pyramids of feature maps ``(N, C_l, H_l, W_l)``, or of volumes, into one."""
        return tuple(
            reduce(torch.cat(level, dim=1))
            for reduce, level in zip(self.reduce, zip(*pyramids, strict=True), strict=True)
        )
