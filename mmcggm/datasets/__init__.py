"""Data sets; the data of BraTS also from its source files to the store."""

from .av_digits import AVDigitsDataset
from .brats import BraTSDataset
from .feature_cache import CachedFeatureDataset
from .food101 import Food101Dataset
from .iemocap import IEMOCAPDataset
from .mfeat import MfeatDataset
from .sentiment import SentimentDataset

__all__ = [
    'AVDigitsDataset',
    'BraTSDataset',
    'CachedFeatureDataset',
    'Food101Dataset',
    'IEMOCAPDataset',
    'MfeatDataset',
    'SentimentDataset',
]
