"""Crops and rotations of slices with any number of modalities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmcggm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CenterCropOrPad(BaseTransform):
    """Cut the centre out of a slice; where the slice is smaller, add zeros on both sides.

    Modified keys: ``img`` (H, W, M), ``img_shape``, and each of ``seg_fields`` (H, W).

    Args:
        size: Height and width of the result, or one number for both.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def transform(self, results: dict) -> dict:
        for key in ('img', *results['seg_fields']):
            results[key] = self._fit(results[key])
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _fit(self, array: np.ndarray) -> np.ndarray:
        cut, padding = [slice(None)] * array.ndim, [(0, 0)] * array.ndim
        for axis, wanted in enumerate(self.size):
            surplus = array.shape[axis] - wanted
            if surplus > 0:
                cut[axis] = slice(surplus // 2, surplus // 2 + wanted)
            else:
                padding[axis] = (-surplus // 2, -surplus - (-surplus // 2))
        array = array[tuple(cut)]
        return np.pad(array, padding) if np.any(padding) else array


@TRANSFORMS.register_module()
class RandomRot90(BaseTransform):
    """Rotate a slice by a random multiple of 90 degrees, each equally likely.

    Modified keys: ``img`` (H, W, M), ``img_shape``, and each of ``seg_fields`` (H, W).

    Args:
        ks: The numbers of quarter turns to choose from. The default is the protocol of CGGM.
    """

    def __init__(self, ks: Sequence[int] = (0, 1, 2)) -> None:
        self.ks = tuple(ks)

    @cache_randomness
    def _choose(self) -> int:
        return int(np.random.choice(self.ks))  # noqa: NPY002 - the state that MMEngine seeds

    def transform(self, results: dict) -> dict:
        k = self._choose()
        for key in ('img', *results['seg_fields']):
            results[key] = np.rot90(results[key], k)
        results['img_shape'] = results['img'].shape[:2]
        return results
