"""Metrics of segmentations, and the writer of NIfTI files."""

from .brats_metric import BraTSMetric
from .nifti_writer import NiftiWriter
from .slice_dice import SliceDiceMetric

__all__ = ['BraTSMetric', 'NiftiWriter', 'SliceDiceMetric']
