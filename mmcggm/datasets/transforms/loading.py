"""Reading items of :class:`BraTSDataset` from the store."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmcggm.datasets.brats.volume_store import StoredCase
from mmcggm.registry import TRANSFORMS
from mmcggm.utils.sizes import is_count


@TRANSFORMS.register_module()
class LoadBraTSSlice(BaseTransform):
    """Read one axial slice.

    Required keys: ``case_path``, ``slice_index``, ``modalities``.

    Added keys: ``img`` float32 (H, W, M), 0 of absent sequences; ``present``, by sequence whether the case
    has it; ``img_shape`` (H, W), ``seg_fields`` and, if the case has a segmentation, ``gt_seg_map`` uint8
    (H, W) in training labels.
    """

    def transform(self, results: dict) -> dict:
        case = StoredCase(results['case_path'])
        image, seg = case.read_slice(results['slice_index'], results['modalities'])
        results['present'] = case.holds(results['modalities'])
        results['img'] = np.moveaxis(image, 0, -1)
        results['img_shape'] = results['img'].shape[:2]
        return _add_seg(results, seg)


@TRANSFORMS.register_module()
class LoadBraTSVolume(BaseTransform):
    """Read a volume, cropped to the brain and padded so that a network accepts its slices.

    Required keys: ``modalities``, and ``case_path`` or, of a case that is in memory, ``prepared_case``.

    Added keys: ``img`` float32 (D, H, W, M), 0 of absent sequences, zeros appended to H and W; ``present``,
    by sequence whether the case has it; ``img_shape`` (H, W);
    ``crop_box``, the brain's box ((d0, d1), (h0, h1), (w0, w1)); ``seg_fields`` and, if the case
    has a segmentation, ``gt_seg_map`` uint8 (D, H, W) of the *full* volume.

    Args:
        size_divisor: H and W become multiples of it.

    Raises:
        ValueError: If it is no integer of at least 1.
    """

    def __init__(self, size_divisor: int = 16) -> None:
        if not is_count(size_divisor):
            raise ValueError(
                f'`size_divisor` of LoadBraTSVolume must be an integer of at least 1, got {size_divisor!r}.'
            )
        self.size_divisor = size_divisor

    def transform(self, results: dict) -> dict:
        case = results.get('prepared_case') or StoredCase(results['case_path'])
        image, _ = case.read_volume(results['modalities'], case.brain_box)
        height, width = (-size % self.size_divisor for size in image.shape[2:])
        image = np.pad(image, ((0, 0), (0, 0), (0, height), (0, width)))
        results['img'] = np.moveaxis(image, 0, -1)
        results['img_shape'] = image.shape[2:]
        results['crop_box'] = case.brain_box
        results['present'] = case.holds(results['modalities'])
        return _add_seg(results, case.read_seg())


def _add_seg(results: dict, seg: np.ndarray | None) -> dict:
    results['seg_fields'] = []
    if seg is not None:
        results['gt_seg_map'] = seg
        results['seg_fields'].append('gt_seg_map')
    return results
