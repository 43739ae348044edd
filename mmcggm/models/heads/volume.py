"""What decode heads of volumes share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor, nn


class VolumeHead(BaseDecodeHead):
    """A decode head of ``mmseg``'s kind for volumes.

    Its classifier ``conv_seg`` is a ``Conv3d``; logits ``(N, K, D', H', W')`` are interpolated to the size of
    the labels ``(N, D, H, W)``, or of the patch that is predicted.

    Args:
        channels: Channels that the classifier sees.
        dropout_ratio: Rate at which whole channels are dropped before the classifier.
        **kwargs: Of ``mmseg``'s ``BaseDecodeHead``; ``loss_decode`` holds losses of volumes, such as
            :class:`MonaiLoss`.

    Raises:
        ValueError: If a ``sampler`` is given.
    """

    def __init__(self, channels: int, dropout_ratio: float = 0.0, **kwargs) -> None:
        super().__init__(channels=channels, dropout_ratio=dropout_ratio, **kwargs)
        if self.sampler is not None:
            raise ValueError('`decode_head.sampler` is of slices: remove it, a head of volumes takes none.')
        self.conv_seg = nn.Conv3d(channels, self.out_channels, kernel_size=1)
        self.dropout = nn.Dropout3d(dropout_ratio) if dropout_ratio > 0 else None

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: Sequence[SegDataSample]) -> dict:
        """Return the losses by name, of logits ``(N, K, D', H', W')`` and samples with labels (D, H, W)."""
        target = torch.stack([sample.gt_sem_seg.data for sample in batch_data_samples])
        logits = self.resized(seg_logits, target.shape[1:])
        criteria = self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]
        losses: dict[str, Tensor] = {}
        for criterion in criteria:
            loss = criterion(logits, target, ignore_index=self.ignore_index)
            losses[criterion.loss_name] = losses.get(criterion.loss_name, 0) + loss
        return losses

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: Sequence[dict]) -> Tensor:
        """Return logits in the size that ``img_shape`` (D, H, W) says."""
        return self.resized(seg_logits, batch_img_metas[0]['img_shape'])

    def resized(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Return maps ``(N, C, *)``, such as logits, interpolated to ``(N, C, *size)``."""
        if tuple(maps.shape[2:]) == tuple(size):
            return maps
        return resize(maps, tuple(size), None, 'trilinear', self.align_corners, warning=False)
