"""The contracting path of a residual 3D U-Net, of MONAI's blocks."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcggm.registry import MODELS
from mmcggm.utils import import_optional

EXTRA = 'brats3d'
NORM = ('INSTANCE', dict(affine=True))


@MODELS.register_module()
class UNet3DEncoder(BaseModule):
    """Stages of a residual block each: MONAI's ``UnetResBlock`` with instance norm, as in its ``DynUNet``.

    The blocks are those of nnU-Net's residual encoder (Isensee et al., Nature Methods 2021, arXiv
    1809.10486).

    Args:
        in_channels: Channels of the input.
        channels: Channels of each stage, from the finest on.
        strides: Stride of each stage. The first may be 2, so that no stage works on all voxels: an eighth of
            the time and memory, at which a decoder's logits are interpolated to the voxels.
        dropout: Dropout rate inside the blocks.
        init_cfg: Initialisation.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If ``strides`` and ``channels`` differ in number.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128, 256, 320),
        strides: Sequence[int] = (1, 2, 2, 2, 2),
        dropout: float = 0.0,
        init_cfg: dict | None = dict(type='Kaiming', layer='Conv3d', a=0.01),
    ) -> None:
        super().__init__(init_cfg)
        if len(strides) != len(channels):
            raise ValueError(
                f'`encoder.strides` {list(strides)} must have an entry for each of `encoder.channels` '
                f'{list(channels)}.'
            )
        block = import_optional('monai.networks.blocks.dynunet_block', extra=EXTRA).UnetResBlock
        self.factor = prod(strides)
        self.stages = nn.ModuleList(
            block(3, c_in, c_out, kernel_size=3, stride=stride, norm_name=NORM, dropout=dropout or None)
            for c_in, c_out, stride in zip((in_channels, *channels[:-1]), channels, strides, strict=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the stages' feature maps, level ``l`` at ``(N, channels[l], D / s, H / s, W / s)``.

        ``s`` is the product of the strides up to level ``l``.

        Args:
            x: Volumes ``(N, in_channels, D, H, W)``.

        Raises:
            ValueError: If an axis is not divisible by the product of all strides, or one voxel is left, which
                instance norm cannot standardise.
        """
        self.check_size(x.shape[2:])
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)

    def check_size(self, size: Sequence[int]) -> None:
        """Raise a ValueError unless patches of ``size`` (D, H, W) go through all stages."""
        if any(side % self.factor for side in size) or set(size) == {self.factor}:
            raise ValueError(
                f'UNet3DEncoder needs patches whose sides are divisible by {self.factor}, the product of '
                f'its `strides`, and not all equal to it, got {tuple(size)}: '
                'change `patch_size`, of the pipeline and of `test_cfg`.'
            )
