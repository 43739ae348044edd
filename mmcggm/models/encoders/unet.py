"""The contracting path of a U-Net (Ronneberger et al., MICCAI 2015, arXiv 1505.04597)."""

from __future__ import annotations

from mmengine.model import BaseModule
from mmseg.models.backbones.unet import BasicConvBlock
from torch import Tensor, nn

from mmcggm.registry import MODELS


@MODELS.register_module()
class UNetEncoder(BaseModule):
    """Stages of two 3 x 3 convolutions with max pooling between them.

    Args:
        in_channels: Channels of the input.
        channels: Channels of each stage, from the finest on.
        norm_cfg: Normalisation layer.
        act_cfg: Activation layer.
        with_cp: Whether stages are recomputed in backward to save memory.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: tuple[int, ...] = (32, 64, 128, 256, 512),
        norm_cfg: dict = dict(type='IN', affine=True),
        act_cfg: dict = dict(type='LeakyReLU', negative_slope=0.01, inplace=True),
        with_cp: bool = False,
        init_cfg: dict | None = dict(type='Kaiming', layer='Conv2d', a=0.01),
    ) -> None:
        super().__init__(init_cfg)
        self.stages = nn.ModuleList(
            BasicConvBlock(c_in, c_out, with_cp=with_cp, norm_cfg=norm_cfg, act_cfg=act_cfg)
            for c_in, c_out in zip((in_channels, *channels[:-1]), channels, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.factor = 2 ** (len(channels) - 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the stages' feature maps, level ``l`` at ``(N, channels[l], H / 2^l, W / 2^l)``.

        Args:
            x: Images ``(N, in_channels, H, W)``.

        Raises:
            ValueError: If H or W is not divisible by ``2^(stages - 1)``.
        """
        if x.shape[-2] % self.factor or x.shape[-1] % self.factor:
            raise ValueError(
                f'UNetEncoder with {len(self.stages)} stages needs height and width divisible by '
                f'{self.factor}, got {tuple(x.shape[-2:])}: crop or pad in the pipeline '
                f'(`size_divisor={self.factor}`).'
            )
        features = [self.stages[0](x)]
        for stage in self.stages[1:]:
            features.append(stage(self.pool(features[-1])))
        return tuple(features)
