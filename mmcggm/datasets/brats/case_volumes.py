"""What a case's files hold, once they are known to describe one head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from .cases import MODALITIES, SourceCase
from .label_conventions import LABEL_TOLERANCE, LabelConvention, as_labels
from .nifti import CaseError, Volume, read_nifti

AFFINE_TOLERANCE = 1e-3  # mm; headers of one case differ by rounding
MOST_OFF = 0.05  # of a label from its integer
USUAL_SIZE = 0.9, 1.1  # mm, of the edges of voxels
OTHER_SIZE = (
    'the voxels are not of 1 mm, as those of BraTS are: nothing is resampled, and a network that learnt from '
    'voxels of another size sees a tumour of another size'
)


@dataclass(frozen=True)
class CaseVolumes:
    """A case in the orientation LPS, with axes (D, H, W) = (Z, X, Y): a slice is axial.

    Attributes:
        image: float32, shape (M, D, H, W), intensities of the source in the order of ``modalities``.
        modalities: The M sequences that are there, in the order of ``MODALITIES``.
        seg: Training labels, uint8, shape (D, H, W), or None.
        spacing: Voxel size in mm along (D, H, W).
        header: Binary NIfTI header that describes a segmentation of this case in the source's orientation.
        oblique: Whether its axes lie more than 1° off the patient's.
    """

    image: np.ndarray
    modalities: tuple[str, ...]
    seg: np.ndarray | None
    spacing: tuple[float, float, float]
    header: bytes
    oblique: bool


def has_usual_size(spacing: Sequence[float]) -> bool:
    """Return whether voxels, of edges in mm, are about as large as those of BraTS."""
    return all(USUAL_SIZE[0] <= edge <= USUAL_SIZE[1] for edge in spacing)


def read_case(case: SourceCase, convention: LabelConvention) -> CaseVolumes:
    """Read and check a case's files.

    Raises:
        CaseError: If a file cannot be read, lies elsewhere than the others, or holds labels that are not
            the convention's. The message names the file.
    """
    return join_volumes({sequence: read_nifti(path) for sequence, path in case.files.items()}, convention)


def join_volumes(volumes: Mapping[str, Volume], convention: LabelConvention) -> CaseVolumes:
    """Return what a case's volumes, by sequence, hold together; ``'seg'`` may be one of them.

    Raises:
        CaseError: If one lies elsewhere than the others, or holds labels that are not the convention's.
    """
    modalities = tuple(modality for modality in MODALITIES if modality in volumes)
    reference = volumes[modalities[0]]
    for volume in volumes.values():
        check_same_geometry(volume, reference)
    seg = None
    if 'seg' in volumes:
        header = volumes['seg'].header.copy()
        seg = training_labels(volumes['seg'], convention)
    else:
        header = reference.header.copy()
        header.set_data_dtype(np.uint8)
        header['cal_min'] = header['cal_max'] = 0  # the display window of a sequence hides labels
    x, y, z = (float(size) for size in nib.affines.voxel_sizes(reference.affine))
    return CaseVolumes(
        image=np.stack([axial(volumes[modality].array).astype(np.float32) for modality in modalities]),
        modalities=modalities,
        seg=seg,
        spacing=(z, x, y),
        header=header.binaryblock,
        oblique=reference.oblique,
    )


def check_same_geometry(volume: Volume, reference: Volume) -> None:
    """Raise CaseError unless both volumes, brought to one orientation, hold the same voxels.

    That is: equal shapes, and affines whose elements differ by at most :data:`AFFINE_TOLERANCE`.
    """
    if volume.array.shape != reference.array.shape:
        raise CaseError(
            f'{volume.name} has shape {volume.array.shape}, {reference.name} {reference.array.shape} '
            '(along left, back and up)'
        )
    if not np.allclose(volume.affine, reference.affine, rtol=0, atol=AFFINE_TOLERANCE):
        raise CaseError(f'{volume.name} and {reference.name} differ in their affine: they are not aligned')


def read_labels(path: Path) -> np.ndarray:
    """Read the labels on disk of a segmentation, uint8 (X, Y, Z), in no matter which convention.

    Raises:
        CaseError: If the file cannot be read, or holds a value that is no label.
    """
    return disk_labels(read_nifti(path))


def disk_labels(volume: Volume) -> np.ndarray:
    """Return the labels on disk of a segmentation, uint8 (X, Y, Z).

    Labels that were saved as real numbers in a file of integers lie at multiples of its slope, up to half of
    it off.
    """
    slope = volume.header.get_slope_inter()[0] or 0.0
    try:
        return as_labels(volume.array, volume.name, min(max(LABEL_TOLERANCE, abs(slope) * 0.51), MOST_OFF))
    except ValueError as error:
        raise CaseError(str(error)) from error


def training_labels(volume: Volume, convention: LabelConvention) -> np.ndarray:
    """Return the training labels of a segmentation, uint8 (D, H, W)."""
    try:
        return np.ascontiguousarray(axial(convention.to_training(disk_labels(volume), volume.name)))
    except ValueError as error:
        raise CaseError(str(error)) from error


def axial(array: np.ndarray) -> np.ndarray:
    """Turn (X, Y, Z) into (D, H, W) = (Z, X, Y)."""
    return np.moveaxis(array, 2, 0)
