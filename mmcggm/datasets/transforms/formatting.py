"""From arrays to what the model takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmcggm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackMultimodalInputs(BaseTransform):
    """Pack a slice or a volume into one tensor a modality and a data sample.

    Required keys: ``img`` (..., M), ``modalities``; optional ``gt_seg_map`` and ``present``, by modality
    whether the sample has it (default: all): what it lacks is 0, whatever transforms have added to it.

    The result holds ``inputs``, ``{modality: float32 tensor (1, H, W) or (1, D, H, W)}``, and
    ``data_samples``, a ``SegDataSample``. Its ``gt_sem_seg`` is int64 (1, H, W) for a slice and (D, H, W) for
    a patch, as losses need it; for a whole volume, which is only compared, (D, H, W) in the type that it
    was loaded in, uint8.

    Args:
        meta_keys: Keys that become metainfo of the data sample where they are present.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'case',
            'case_path',
            'slice_index',
            'ori_shape',
            'img_shape',
            'crop_box',
            'patch_box',
            'spacing',
            'flip',
            'flip_direction',
            'present',
        ),
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        channels = np.moveaxis(results['img'], -1, 0)
        present = dict.fromkeys(results['modalities'], True) | results.get('present', {})
        inputs = {
            modality: torch.from_numpy(self._channel(channel, present[modality]))[None]
            for modality, channel in zip(results['modalities'], channels, strict=True)
        }
        found = {**results, 'present': present}
        sample = SegDataSample(metainfo={key: found[key] for key in self.meta_keys if key in found})
        if 'gt_seg_map' in results:
            whole = results['gt_seg_map'].ndim == 3 and 'patch_box' not in results
            sample.gt_sem_seg = PixelData(data=self._pack_seg(results['gt_seg_map'], whole))
        return dict(inputs=inputs, data_samples=sample)

    @staticmethod
    def _channel(channel: np.ndarray, present: bool) -> np.ndarray:
        packed = np.array(channel, dtype=np.float32, order='C')
        return packed if present else np.zeros_like(packed)

    @staticmethod
    def _pack_seg(seg: np.ndarray, whole: bool) -> torch.Tensor:
        if whole:
            return torch.from_numpy(np.ascontiguousarray(seg))
        packed = torch.from_numpy(seg.astype(np.int64, order='C'))
        return packed[None] if seg.ndim == 2 else packed
