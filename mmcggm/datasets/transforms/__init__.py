"""Transforms beside those of mmcv and mmseg, for images of any number of modalities.

An image is ``img``, float32, (H, W, M) or (D, H, W, M); OpenCV, and so part of mmcv's transforms,
stops at four channels.
"""

from .formatting import PackMultimodalInputs
from .geometry import CenterCropOrPad, RandomRot90
from .loading import LoadBraTSSlice, LoadBraTSVolume
from .monai_transforms import MonaiTransforms
from .patches import LoadBraTSPatch

__all__ = [
    'CenterCropOrPad',
    'LoadBraTSPatch',
    'LoadBraTSSlice',
    'LoadBraTSVolume',
    'MonaiTransforms',
    'PackMultimodalInputs',
    'RandomRot90',
]
