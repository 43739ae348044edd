"""What a user calls from Python: balance a model of one's own in any loop, and predict."""

from .balance import Balanced, balance
from .inference_model import init_model
from .prediction import PredictionInferencer
from .segmentation import Segmentation, SegmentationInferencer

__all__ = [
    'Balanced',
    'PredictionInferencer',
    'Segmentation',
    'SegmentationInferencer',
    'balance',
    'init_model',
]
