"""Data sets; the data of BraTS also from its source files to the store."""

from mmcggm.datasets.av_digits.dataset import AVDigitsDataset
from mmcggm.datasets.brats.dataset import BraTSDataset
from mmcggm.datasets.feature_cache.dataset import CachedFeatureDataset
from mmcggm.datasets.features.dataset import FeatureDataset
from mmcggm.datasets.food101.dataset import Food101Dataset
from mmcggm.datasets.iemocap.dataset import IEMOCAPDataset
from mmcggm.datasets.mfeat.dataset import MfeatDataset
from mmcggm.datasets.readers.batch import collate_features
from mmcggm.datasets.sentiment.dataset import SentimentDataset
from mmcggm.datasets.synthetic_information.dataset import SyntheticInformationDataset

__all__ = [
    'AVDigitsDataset',
    'BraTSDataset',
    'CachedFeatureDataset',
    'FeatureDataset',
    'Food101Dataset',
    'IEMOCAPDataset',
    'MfeatDataset',
    'SentimentDataset',
    'SyntheticInformationDataset',
    'collate_features',
]
