"""Reading segmentations from NIfTI files."""

from pathlib import Path

import nibabel as nib
import numpy as np

from mmcggm.datasets.brats.cases import load_nifti, training_labels


def read_labels(path: str | Path) -> tuple[np.ndarray, nib.Nifti1Image]:
    """Read a segmentation in either convention for the enhancing tumour (4 or 3).

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.

    Returns:
        Training labels (D, H, W) uint8, and the image for its geometry.

    Raises:
        ValueError: If the file cannot be read, is no volume or holds unknown labels.
    """
    path = Path(path)
    image, array = load_nifti(path)
    labels, _ = training_labels(array, path.name, default_et=3)
    return labels, image
