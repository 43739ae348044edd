"""A small convolutional network for small images and spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcggm.registry import MODELS


@MODELS.register_module()
class SmallCNN(BaseModule):
    """3 x 3 convolutions with max pooling between them, and the mean over what is left.

    Args:
        in_channels: Channels of the input.
        channels: Channels of each convolution; the last are the representation's. Pooling halves the
            input ``len(channels) - 1`` times, rounding down.
        stride: Of the first convolution: 2 makes an encoder of large inputs four times as fast.
        norm_cfg: Normalisation layer. Default: none, so a sample's result does not depend on its batch.
        act_cfg: Activation layer.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (16, 32, 64),
        stride: int = 1,
        norm_cfg: dict | None = None,
        act_cfg: dict = dict(type='ReLU'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        layers: list[nn.Module] = []
        strides = (stride, *(1 for _ in channels[1:]))
        for c_in, c_out, s in zip((in_channels, *channels[:-1]), channels, strides, strict=True):
            layers += [
                ConvModule(c_in, c_out, 3, stride=s, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg),
                nn.MaxPool2d(2),
            ]
        self.layers = nn.Sequential(*layers[:-1])
        self.smallest = stride * 2 ** (len(channels) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return representations ``(N, channels[-1])`` of images ``(N, in_channels, H, W)``.

        Raises:
            ValueError: If the images are too small.
        """
        if min(x.shape[-2:]) < self.smallest:
            raise ValueError(
                f'SmallCNN with {len(self.layers) // 2 + 1} convolutions needs images of at least '
                f'{self.smallest} x {self.smallest}, got {tuple(x.shape[-2:])}.'
            )
        return self.layers(x).mean(dim=(2, 3))
