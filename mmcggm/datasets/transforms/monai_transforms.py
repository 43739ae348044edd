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
MOVING = ('spatial', 'croppad')  # parts of MONAI whose transforms move voxels,
MOVES, STAYS = ('RandSmoothDeformd',), ('RandSimulateLowResolutiond',)  # and which differ from their part


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

    What moves voxels must move both, and interpolate labels by their nearest neighbour.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If MONAI has no such dictionary transform, its ``keys`` are others, or what it makes of a
            sample is no image of as many modalities with labels of the same voxels.

    Example:
        >>> steps = [
        >>>     dict(type='RandFlipd', keys=('img', 'gt_seg_map'), prob=0.5, spatial_axis=0),
        >>>     dict(type='RandZoomd', keys=('img', 'gt_seg_map'), mode=('trilinear', 'nearest'), prob=0.2),
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
            for place, step in enumerate(self.steps):
                _check_moves(step, f'steps[{place}]', data)
                if isinstance(step, self._randomizable):
                    step.set_random_state(seed=np.random.randint(2**31))  # noqa: NPY002 - MMEngine seeds it
                before, data = data, step(data)
                _check_result(step, f'steps[{place}]', before, data)
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


def _check_moves(step: Any, where: str, data: Mapping[str, torch.Tensor]) -> None:
    """Raise a ValueError if a transform moves the voxels of the image or of the labels alone."""
    name, part = type(step).__name__, type(step).__module__.split('.')[2:3]
    moves = name in MOVES or (part and part[0] in MOVING and name not in STAYS)
    if moves and 'gt_seg_map' in data and not {*KEYS} <= {*step.keys}:
        raise ValueError(
            f'`{where}` of MonaiTransforms: {name} moves voxels of {", ".join(step.keys)} alone, so that '
            f'image and labels would no longer lie on each other: set `keys={KEYS}`.'
        )


def _check_result(step: Any, where: str, before: Mapping[str, torch.Tensor], after: Any) -> None:
    """Raise a ValueError unless a transform has made labels and an image of one sample of such ones."""
    name = f'`{where}` of MonaiTransforms: {type(step).__name__}'
    if not isinstance(after, Mapping) or not before.keys() <= after.keys():
        raise ValueError(
            f'{name} makes other than one sample with {", ".join(before)} of a sample: remove it. '
            'Patches are drawn by `LoadBraTSPatch`.'
        )
    if len(after['img']) != len(before['img']):
        raise ValueError(
            f'{name} makes {len(after["img"])} channels of the {len(before["img"])} modalities: remove it.'
        )
    if 'gt_seg_map' not in before:
        return
    labels, shape = after['gt_seg_map'], tuple(after['img'].shape[1:])
    if labels.is_floating_point() and not torch.equal(labels, labels.round()):
        raise ValueError(
            f'{name} makes labels that are no integers, such as {_fraction(labels):.3g}: what interpolates '
            "needs the mode 'nearest' for labels, such as `keys=('img', 'gt_seg_map'), mode=('bilinear', "
            "'nearest')`, and what changes intensities `keys='img'`."
        )
    # Of a whole volume the labels are in full size, and the image is cut to the brain.
    fitted = before['gt_seg_map'].shape[1:] == before['img'].shape[1:]
    if len(labels) != 1 or (fitted and tuple(labels.shape[1:]) != shape):
        raise ValueError(
            f'{name} makes labels {tuple(labels.shape)} beside an image of {shape}; they must be (1, D, H, '
            'W) of the same voxels. Regions are made of labels by the loss (`regions` of `MonaiLoss`).'
        )


def _fraction(labels: torch.Tensor) -> float:
    return float(labels[labels != labels.round()][0])
