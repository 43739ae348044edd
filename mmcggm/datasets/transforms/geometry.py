"""Crops and rotations of slices with any number of modalities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmcggm.registry import TRANSFORMS
from mmcggm.utils.sizes import is_count, is_size


@TRANSFORMS.register_module()
class CenterCropOrPad(BaseTransform):
    """Cut the centre out of a slice; where the slice is smaller, add zeros on both sides.

    Modified keys: ``img`` (H, W, M), ``img_shape``, and each of ``seg_fields`` (H, W).

    Args:
        size: Height and width of the result, or one number for both.

    Raises:
        ValueError: If ``size`` is something else, or what is to be cut is no slice.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        if not (is_count(size) or is_size(size, axes=2)):
            raise ValueError(
                f'`size` of CenterCropOrPad must be (H, W), each at least 1, or one number, got {size!r}.'
            )
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def transform(self, results: dict) -> dict:
        _check_slice(self, results['img'])
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

    Raises:
        ValueError: If what is to be rotated is no slice.
    """

    def __init__(self, ks: Sequence[int] = (0, 1, 2)) -> None:
        self.ks = tuple(ks)

    @cache_randomness
    def _choose(self) -> int:
        return int(np.random.choice(self.ks))  # noqa: NPY002 - the state that MMEngine seeds

    def transform(self, results: dict) -> dict:
        _check_slice(self, results['img'])
        k = self._choose()
        for key in ('img', *results['seg_fields']):
            results[key] = np.rot90(results[key], k)
        results['img_shape'] = results['img'].shape[:2]
        return results


def _check_slice(transform: BaseTransform, image: np.ndarray) -> None:
    """Raise a ValueError if an image is of a volume, whose first two axes are no plane of a slice."""
    if image.ndim != 3:
        raise ValueError(
            f'{type(transform).__name__} is of slices (H, W, M), and got {image.shape}: take it out of this '
            'pipeline. Patches and volumes have the transforms of `MonaiTransforms`.'
        )
