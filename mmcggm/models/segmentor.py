"""mmseg's encoder-decoder for batches of modalities, in slices and in whole volumes."""

from __future__ import annotations

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from mmcggm.registry import MODELS

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@MODELS.register_module()
class MultimodalSegmentor(EncoderDecoder):
    """An ``EncoderDecoder`` whose inputs are dicts by modality.

    Trains on slices ``{modality: (N, C, H, W)}``. Predicts slices as ``EncoderDecoder`` does, and
    volumes ``{modality: (N, C, D, H, W)}`` slice by slice.

    ``test_cfg`` takes ``slices_per_pass``, the number of a volume's slices in one forward pass
    (default 16), and ``probabilities``, whether the prediction of a volume holds them, beside ``mode``.

    Attributes:
        per_pass (str): The setting of ``test_cfg`` that says how much goes through the network at once.
    """

    per_pass = 'slices_per_pass'

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
            size, background outside the crop; where they are asked for, ``probabilities`` as well, float32
            ``(K, D, H, W)``.

        Raises:
            ValueError: If volumes of a batch lack different modalities.
        """
        if next(iter(inputs.values())).ndim == 4:
            return super().predict(inputs, data_samples)
        if data_samples is None:
            data_samples = [SegDataSample() for _ in next(iter(inputs.values()))]
        if any(sample.get('present') != data_samples[0].get('present') for sample in data_samples):
            raise ValueError(
                'Volumes of a batch are segmented one after another, so those that lack different modalities '
                'can not share one: take `batch_size=1`.'
            )
        for index, sample in enumerate(data_samples):
            labels, probabilities = self._segment_volume({m: volume[index] for m, volume in inputs.items()})
            box = sample.metainfo.get('crop_box')
            if box is not None:
                labels = _uncrop(labels[None], box, sample.metainfo['ori_shape'])[0]
            sample.set_data({'pred_sem_seg': PixelData(data=labels)})
            if probabilities is not None:
                if box is not None:
                    probabilities = _uncrop(probabilities, box, sample.metainfo['ori_shape'], background=1.0)
                sample.set_data({'probabilities': probabilities})
        return data_samples

    def _segment_volume(self, volume: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return labels ``(D, H, W)``, uint8, of a volume ``{modality: (C, D, H, W)}``, and probabilities."""
        slices = {modality: v.transpose(0, 1) for modality, v in volume.items()}
        depth, _, height, width = next(iter(slices.values())).shape
        cfg = self.test_cfg or {}
        step = cfg.get(self.per_pass, 16)
        labels, probabilities = [], []
        for start in range(0, depth, step):
            chunk = {modality: s[start : start + step] for modality, s in slices.items()}
            size = len(next(iter(chunk.values())))
            logits = self.encode_decode(chunk, [dict(img_shape=(height, width))] * size)
            labels.append(logits.max(dim=1).indices.to(torch.uint8))
            if cfg.get('probabilities', False):
                probabilities.append(logits.float().softmax(dim=1).transpose(0, 1))
        return torch.cat(labels), torch.cat(probabilities, dim=1) if probabilities else None


def _uncrop(crop: Tensor, box: Box, shape: tuple[int, int, int], background: float = 0) -> Tensor:
    """Put a crop ``(K, D', H', W')``, padded at its ends, back into a volume ``(K, D, H, W)``.

    Outside it the first channel, the background's, is ``background``, and the others are 0.
    """
    (d0, d1), (h0, h1), (w0, w1) = box
    full = crop.new_zeros((len(crop), *shape))
    full[0] = background
    full[:, d0:d1, h0:h1, w0:w1] = crop[:, : d1 - d0, : h1 - h0, : w1 - w0]
    return full
