"""What a user calls from Python: balance a model of one's own in any loop, and predict."""

from typing import Any

from .balance import balance
from .balanced import Balanced
from .forgotten import without_guides

__all__ = [
    'Balanced',
    'PredictionInferencer',
    'Segmentation',
    'SegmentationInferencer',
    'balance',
    'init_model',
    'without_guides',
]


def __getattr__(name: str) -> Any:
    """Import what predicts when it is first asked for: it needs mmseg, nibabel and matplotlib."""
    if name == 'init_model':
        from .inference_model import init_model

        return init_model
    if name == 'PredictionInferencer':
        from .prediction import PredictionInferencer

        return PredictionInferencer
    if name in ('Segmentation', 'SegmentationInferencer'):
        from . import segmentation

        return getattr(segmentation, name)
    raise AttributeError(f"module 'mmcggm.apis' has no attribute '{name}'")
