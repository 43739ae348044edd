"""Reading segmentations from NIfTI files."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mmcggm.datasets.brats.case_volumes import disk_labels, training_labels
from mmcggm.datasets.brats.label_conventions import LabelConvention, present_labels
from mmcggm.datasets.brats.nifti import Volume, read_nifti


def read_labels(path: str | Path, convention: LabelConvention) -> Volume:
    """Read a segmentation as training labels.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.
        convention: What its labels mean.

    Returns:
        The volume in the orientation LPS; its array holds training labels, uint8 (D, H, W).

    Raises:
        ValueError: If the file cannot be read, is no volume or holds labels that the convention lacks.
    """
    volume = read_nifti(Path(path))
    return replace(volume, array=training_labels(volume, convention))


def labels_on_disk(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Return the labels that each file holds, by its name.

    Raises:
        ValueError: If a file cannot be read or is no segmentation.
    """
    return {path.name: present_labels(disk_labels(read_nifti(path))) for path in paths}
