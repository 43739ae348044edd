"""Metrics, corrections of segmentations, and the writer of NIfTI files."""

from mmcggm.evaluation.brats.metric import BraTSMetric
from mmcggm.evaluation.brats.nifti_writer import NiftiWriter
from mmcggm.evaluation.brats.post_processing import KeepLargest, PostProcessing, ReplaceSmall
from mmcggm.evaluation.brats.slice_dice import SliceDiceMetric
from mmcggm.evaluation.brats.small_region import SmallRegionThreshold

from .classification_metric import ClassificationMetric
from .multi_label_metric import MultiLabelMetric
from .regression_metric import RegressionMetric
from .sentiment_metric import SentimentMetric

__all__ = [
    'BraTSMetric',
    'ClassificationMetric',
    'KeepLargest',
    'MultiLabelMetric',
    'NiftiWriter',
    'PostProcessing',
    'RegressionMetric',
    'ReplaceSmall',
    'SentimentMetric',
    'SliceDiceMetric',
    'SmallRegionThreshold',
]
