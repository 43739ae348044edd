"""BraTS: regions, metrics and segmentations as NIfTI files."""
