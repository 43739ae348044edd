"""Metrics of segmentations and classifications, and the writer of NIfTI files."""

from .brats_metric import BraTSMetric
from .classification_metric import ClassificationMetric
from .nifti_writer import NiftiWriter
from .sentiment_metric import SentimentMetric
from .slice_dice import SliceDiceMetric

__all__ = ['BraTSMetric', 'ClassificationMetric', 'NiftiWriter', 'SentimentMetric', 'SliceDiceMetric']
