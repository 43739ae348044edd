"""The expanding path of a 3D U-Net, of MONAI's blocks, as a decode head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmcggm.models.encoders.unet3d import EXTRA, NORM
from mmcggm.registry import MODELS
from mmcggm.utils import import_optional

from .levels import check_levels
from .volume import VolumeHead


@MODELS.register_module()
class UNet3DHead(VolumeHead):
    """Upsamples from the coarsest level on, joining each finer level, and classifies each voxel.

    The blocks are MONAI's ``UnetUpBlock``, those of nnU-Net (Isensee et al., Nature Methods 2021, arXiv
    1809.10486), and so is deep supervision: coarser levels are classified too, in training alone.

    Args:
        in_channels: Channels of the pyramid, from the finest level on. The classifier ``conv_seg`` sees
            ``in_channels[0]`` channels.
        strides: By which factor each level is coarser than the one before it, beginning with the second.
        deep_supervision: Weights of the losses of the second level, the third, and so on; the finest has 1.
        **kwargs: Of :class:`VolumeHead`.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If ``strides`` or ``deep_supervision`` do not fit the number of levels, or the levels are
            others than those of ``in_channels`` and ``strides``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int] = (2, 2, 2, 2),
        deep_supervision: Sequence[float] = (),
        **kwargs,
    ) -> None:
        if len(strides) != len(in_channels) - 1:
            raise ValueError(
                f'`decode_head.strides` {list(strides)} must have an entry for each level after the first of '
                f'`decode_head.in_channels` {list(in_channels)}.'
            )
        if len(deep_supervision) > len(in_channels) - 2:
            raise ValueError(
                f'`decode_head.deep_supervision` {list(deep_supervision)} has more weights than the '
                f'{len(in_channels) - 2} levels that the decoder makes between the finest and the coarsest.'
            )
        super().__init__(
            in_channels=list(in_channels),
            channels=in_channels[0],
            in_index=list(range(len(in_channels))),
            input_transform='multiple_select',
            **kwargs,
        )
        block = import_optional('monai.networks.blocks.dynunet_block', extra=EXTRA).UnetUpBlock
        self.blocks = nn.ModuleList(
            block(3, coarse, fine, kernel_size=3, stride=1, upsample_kernel_size=stride, norm_name=NORM)
            for (fine, coarse), stride in zip(pairwise(in_channels), strides, strict=True)
        )
        self.strides = tuple(strides)
        self.deep_supervision = tuple(deep_supervision)
        self.coarse_classifiers = nn.ModuleList(
            nn.Conv3d(width, self.out_channels, kernel_size=1)
            for width, _ in zip(in_channels[1:], deep_supervision, strict=False)
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits ``(N, num_classes, D, H, W)`` at the size of the finest level."""
        return self.cls_seg(self._decoded(inputs)[0])

    def loss(
        self, inputs: Sequence[Tensor], batch_data_samples: Sequence[SegDataSample], train_cfg: dict
    ) -> dict:
        """Return the losses of the finest level, and of coarser ones as ``level{l}.{name}``, weighted."""
        maps = self._decoded(inputs)
        losses = self.loss_by_feat(self.cls_seg(maps[0]), batch_data_samples)
        levels = zip(self.coarse_classifiers, self.deep_supervision, maps[1:], strict=False)
        for level, (classifier, weight, features) in enumerate(levels, start=1):
            coarse = self.loss_by_feat(classifier(features), batch_data_samples)
            losses |= {f'level{level}.{name}': weight * loss for name, loss in coarse.items()}
        return losses

    def _decoded(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the decoder's feature maps, from the finest on."""
        check_levels(inputs, self.in_channels)
        for stride, (fine, coarse) in zip(self.strides, pairwise(inputs), strict=True):
            if tuple(fine.shape[2:]) != tuple(stride * side for side in coarse.shape[2:]):
                raise ValueError(
                    f'`decode_head.strides` is {list(self.strides)}, but the backbone gives levels of '
                    f'{[tuple(level.shape[2:]) for level in inputs]}: set it to the strides of the encoders, '
                    'the first left out.'
                )
        *skips, x = self._transform_inputs(inputs)
        maps: list[Tensor] = []
        for block, skip in zip(reversed(self.blocks), reversed(skips), strict=True):
            x = block(x, skip)
            maps.insert(0, x)
        return maps
