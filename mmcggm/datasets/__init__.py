"""Data sets; the data of BraTS also from its source files to the store."""

from .brats import BraTSDataset

__all__ = ['BraTSDataset']
