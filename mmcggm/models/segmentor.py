"""mmseg's encoder-decoder for batches of modalities, in slices and in whole volumes."""

from __future__ import annotations

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from mmcggm.registry import MODELS


@MODELS.register_module()
class MultimodalSegmentor(EncoderDecoder):
    """An ``EncoderDecoder`` whose inputs are dicts by modality.

    Trains on slices ``{modality: (N, C, H, W)}``. Predicts slices as ``EncoderDecoder`` does, and
    volumes ``{modality: (N, C, D, H, W)}`` slice by slice.

    ``test_cfg`` takes ``slices_per_pass``, the number of a volume's slices in one forward pass
    (default 16), beside ``mode``.
    """

    def predict(
        self, inputs: dict[str, Tensor], data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Segment slices or volumes.

        Args:
            inputs: ``{modality: (N, C, H, W)}`` or ``{modality: (N, C, D, H, W)}``. A volume may be
                a crop, padded at the end of each axis: metainfo ``crop_box`` holds the crop as
                ``((d0, d1), (h0, h1), (w0, w1))`` and ``ori_shape`` the full size ``(D, H, W)``.
            data_samples: A sample each; their metainfo describes the inputs.

        Returns:
            The samples with ``pred_sem_seg``. For a volume: uint8 labels ``(D, H, W)`` in full
            size, background outside the crop.
        """
        if next(iter(inputs.values())).ndim == 4:
            return super().predict(inputs, data_samples)
        if data_samples is None:
            data_samples = [SegDataSample() for _ in next(iter(inputs.values()))]
        for index, sample in enumerate(data_samples):
            labels = self._segment_volume({m: volume[index] for m, volume in inputs.items()})
            box = sample.metainfo.get('crop_box')
            if box is not None:
                (d0, d1), (h0, h1), (w0, w1) = box
                full = labels.new_zeros(sample.metainfo['ori_shape'])
                full[d0:d1, h0:h1, w0:w1] = labels[: d1 - d0, : h1 - h0, : w1 - w0]
                labels = full
            sample.set_data({'pred_sem_seg': PixelData(data=labels)})
        return data_samples

    def _segment_volume(self, volume: dict[str, Tensor]) -> Tensor:
        """Return labels ``(D, H, W)``, uint8, of a volume ``{modality: (C, D, H, W)}``."""
        slices = {modality: v.transpose(0, 1) for modality, v in volume.items()}
        depth, _, height, width = next(iter(slices.values())).shape
        step = self.test_cfg.get('slices_per_pass', 16) if self.test_cfg else 16
        labels = []
        for start in range(0, depth, step):
            chunk = {modality: s[start : start + step] for modality, s in slices.items()}
            size = len(next(iter(chunk.values())))
            logits = self.encode_decode(chunk, [dict(img_shape=(height, width))] * size)
            labels.append(logits.max(dim=1).indices.to(torch.uint8))
        return torch.cat(labels)
