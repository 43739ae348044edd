"""Reading random 3D patches of items of :class:`BraTSDataset` from the store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmcggm.datasets.brats.prepared_case import Box
from mmcggm.datasets.brats.volume_store import StoredCase
from mmcggm.registry import TRANSFORMS
from mmcggm.utils.sizes import is_size


@TRANSFORMS.register_module()
class LoadBraTSPatch(BaseTransform):
    """Read a random patch of a volume, of the store alone the blocks that it crosses.

    Some patches are centred on tumour: on a voxel of a random label of a random slice with tumour, so that
    small parts of a tumour are seen as often as large ones. The others lie anywhere in the brain's box. A
    patch leaves that box only where it is larger than the box; outside the volume it is 0. It is drawn from
    NumPy's global state, as mmcv draws.

    Required keys: ``case_path``, ``modalities``.

    Added keys: ``img`` float32 (D, H, W, M), 0 of absent sequences; ``present``, by sequence whether the case
    has it; ``img_shape`` (D, H, W), ``patch_box``, the half-open box of
    the patch in the volume, ``seg_fields`` and ``gt_seg_map`` uint8 (D, H, W) in training labels.

    Args:
        patch_size: (D, H, W) of the patch.
        tumour: The share of patches that are centred on tumour, between 0 and 1. In a case without tumour all
            lie anywhere.

    Raises:
        ValueError: If an argument is out of its range, or a case has no segmentation.
    """

    def __init__(self, patch_size: Sequence[int], tumour: float = 0.67) -> None:
        if not is_size(patch_size, axes=3):
            raise ValueError(
                f'`patch_size` of LoadBraTSPatch must be (D, H, W), each at least 1, got {patch_size!r}.'
            )
        self.patch_size = tuple(patch_size)
        if not 0 <= tumour <= 1:
            raise ValueError(f'`tumour` of LoadBraTSPatch is a share between 0 and 1, got {tumour}.')
        self.tumour = tumour

    def transform(self, results: dict) -> dict:
        case = StoredCase(results['case_path'])
        if not case.has_seg:
            raise ValueError(
                f"Case '{case.case}' has no segmentation, which LoadBraTSPatch needs: correct `split`."
            )
        box = self.draw(case)
        inside = tuple(
            (max(start, 0), min(end, size)) for (start, end), size in zip(box, case.shape, strict=True)
        )
        margins = [(i - start, end - j) for (start, end), (i, j) in zip(box, inside, strict=True)]
        image, seg = case.read_volume(results['modalities'], inside)
        if np.any(margins):
            image, seg = np.pad(image, [(0, 0), *margins]), np.pad(seg, margins)
        results['img'] = np.moveaxis(image, 0, -1)
        results['img_shape'] = self.patch_size
        results['patch_box'] = box
        results['present'] = case.holds(results['modalities'])
        results['gt_seg_map'] = seg
        results['seg_fields'] = ['gt_seg_map']
        return results

    def draw(self, case: StoredCase) -> Box:
        """Return the box of a random patch of a case."""
        wanted = np.random.random() < self.tumour  # noqa: NPY002 - the state that MMEngine seeds
        if wanted and len(case.tumour_slices):
            middle = _tumour_voxel(case)
            starts = [place - size // 2 for place, size in zip(middle, self.patch_size, strict=True)]
        else:
            starts = [
                np.random.randint(low, max(high - size, low) + 1)  # noqa: NPY002
                for (low, high), size in zip(case.brain_box, self.patch_size, strict=True)
            ]
        return tuple(
            _within(start, size, *bounds)
            for start, size, bounds in zip(starts, self.patch_size, case.brain_box, strict=True)
        )


def _tumour_voxel(case: StoredCase) -> tuple[int, int, int]:
    """Return a random voxel of a random label of a random slice with tumour."""
    z = int(np.random.choice(case.tumour_slices))  # noqa: NPY002
    seg = case.read_seg(((z, z + 1), (0, case.shape[1]), (0, case.shape[2])))[0]
    label = np.random.choice(np.unique(seg[seg > 0]))  # noqa: NPY002
    places = np.argwhere(seg == label)
    y, x = places[np.random.randint(len(places))]  # noqa: NPY002
    return z, int(y), int(x)


def _within(start: int, size: int, low: int, high: int) -> tuple[int, int]:
    """Return the span of ``size`` nearest to that from ``start`` inside a span, or around its middle."""
    room = high - low - size
    start = low + room // 2 if room < 0 else min(max(start, low), low + room)
    return int(start), int(start) + size
