"""Metrics of segmentation, classification and regression, and the writer of NIfTI files."""

from mmcggm.evaluation.brats.metric import BraTSMetric
from mmcggm.evaluation.brats.nifti_writer import NiftiWriter
from mmcggm.evaluation.brats.slice_dice import SliceDiceMetric

from .classification_metric import ClassificationMetric
from .multi_label_metric import MultiLabelMetric
from .regression_metric import RegressionMetric
from .sentiment_metric import SentimentMetric

__all__ = [
    'BraTSMetric',
    'ClassificationMetric',
    'MultiLabelMetric',
    'NiftiWriter',
    'RegressionMetric',
    'SentimentMetric',
    'SliceDiceMetric',
]
