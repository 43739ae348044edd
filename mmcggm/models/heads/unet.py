"""The expanding path of a U-Net as a decode head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mmseg.models.backbones.unet import BasicConvBlock
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import UpConvBlock
from torch import Tensor, nn

from mmcggm.registry import MODELS

from .levels import check_levels


@MODELS.register_module()
class UNetHead(BaseDecodeHead):
    """Upsamples from the coarsest level on, joining each finer level, and classifies each pixel.

    Args:
        in_channels: Channels of the pyramid, from the finest level on. The classifier ``conv_seg``
            sees ``in_channels[0]`` channels.
        upsample_cfg: How a level is upsampled, as in ``mmseg.UNet``.
        with_cp: Whether blocks are recomputed in backward to save memory.
        **kwargs: Of ``mmseg``'s ``BaseDecodeHead``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        upsample_cfg: dict = dict(type='mmseg.InterpConv'),
        with_cp: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=list(in_channels),
            channels=in_channels[0],
            in_index=list(range(len(in_channels))),
            input_transform='multiple_select',
            **kwargs,
        )
        self.blocks = nn.ModuleList(
            UpConvBlock(
                BasicConvBlock,
                in_channels=coarse,
                skip_channels=fine,
                out_channels=fine,
                with_cp=with_cp,
                norm_cfg=self.norm_cfg,
                act_cfg=self.act_cfg,
                upsample_cfg=upsample_cfg,
            )
            for fine, coarse in pairwise(in_channels)
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits ``(N, num_classes, H, W)`` at the size of the finest level.

        Raises:
            ValueError: If the levels are others than those of ``in_channels``.
        """
        check_levels(inputs, self.in_channels)
        *skips, x = self._transform_inputs(inputs)
        for block, skip in zip(reversed(self.blocks), reversed(skips), strict=True):
            x = block(skip, x)
        return self.cls_seg(x)
