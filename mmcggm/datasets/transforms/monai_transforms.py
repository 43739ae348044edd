"""MONAI's dictionary transforms in a pipeline of MMEngine."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmcggm.registry import TRANSFORMS
from mmcggm.utils import import_optional
from mmcggm.utils.spelling import did_you_mean

KEYS = ('img', 'gt_seg_map')


@TRANSFORMS.register_module()
class MonaiTransforms(BaseTransform):
    """Apply dictionary transforms of MONAI, such as ``RandFlipd``, to a patch or a volume.

    They find the image under the key ``img``, (M, D, H, W) as MONAI has it, and the labels under
    ``gt_seg_map``, (1, D, H, W). What they draw at random follows NumPy's global state, which MMEngine seeds,
    so that a training can be repeated and resumed.

    Modified keys: ``img`` (D, H, W, M), ``img_shape`` and, where it is there, ``gt_seg_map`` (D, H, W).

    Args:
        steps: Configs of transforms in ``monai.transforms``; ``type`` is the class's name there, and ``keys``
            are of the two above.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If MONAI has no such dictionary transform, or its ``keys`` are others.

    Example:
        >>> steps = [
        >>>     dict(type='RandFlipd', keys=('img', 'gt_seg_map'), prob=0.5, spatial_axis=0),
        >>>     dict(type='RandScaleIntensityd', keys='img', factors=0.1, prob=0.5),
        >>> ]
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self.steps = [_build(step, f'steps[{index}]') for index, step in enumerate(steps)]
        self._randomizable = import_optional('monai.transforms', extra='brats3d').Randomizable
        self._to_numpy = import_optional('monai.utils', extra='brats3d').convert_to_numpy

    def transform(self, results: dict) -> dict:
        data = {'img': torch.from_numpy(np.ascontiguousarray(np.moveaxis(results['img'], -1, 0)))}
        if 'gt_seg_map' in results:
            data['gt_seg_map'] = torch.from_numpy(results['gt_seg_map'])[None]
        kinds = {key: value.dtype for key, value in data.items()}
        with _without_metadata():
            for step in self.steps:
                if isinstance(step, self._randomizable):
                    step.set_random_state(seed=np.random.randint(2**31))  # noqa: NPY002 - MMEngine seeds it
                data = step(data)
        arrays = {key: self._to_numpy(data[key].to(kind)) for key, kind in kinds.items()}
        results['img'] = np.moveaxis(arrays['img'], 0, -1)
        results['img_shape'] = results['img'].shape[:-1]
        if 'gt_seg_map' in arrays:
            results['gt_seg_map'] = arrays['gt_seg_map'][0]
        return results


@contextmanager
def _without_metadata() -> Iterator[None]:
    """Let MONAI's transforms keep no record of themselves: nothing reads it here, and it takes time."""
    meta = import_optional('monai.data.meta_obj', extra='brats3d')
    before = meta.get_track_meta()
    meta.set_track_meta(False)
    try:
        yield
    finally:
        meta.set_track_meta(before)


def _build(step: Mapping[str, Any], where: str) -> Any:
    """Build a transform of MONAI from its config, which stands at ``where``."""
    transforms = import_optional('monai.transforms', extra='brats3d')
    settings = dict(step)
    name = settings.pop('type', None)
    kind = getattr(transforms, str(name), None)
    if not (inspect.isclass(kind) and issubclass(kind, transforms.MapTransform)):
        known = [n for n, c in vars(transforms).items() if n.endswith('d') and inspect.isclass(c)]
        raise ValueError(
            f"`{where}.type` of MonaiTransforms: monai.transforms has no dictionary transform '{name}'."
            f'{did_you_mean(str(name), known)}'
        )
    keys = settings.get('keys')
    unknown = {keys} - {*KEYS} if isinstance(keys, str) else {*(keys or ('',))} - {*KEYS}
    if unknown:
        raise ValueError(f'`{where}.keys` of MonaiTransforms must be of {list(KEYS)}, got {keys!r}.')
    return kind(**settings)
