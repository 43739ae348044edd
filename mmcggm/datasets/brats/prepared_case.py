"""A case as a network gets it and as its segmentation is written, in memory or in the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from mmcggm.utils.atomic import replacing

from .background import normalise
from .case_volumes import CaseVolumes
from .cases import MODALITIES
from .label_conventions import LabelConvention, get_convention
from .nifti import parse_header, to_source

IMAGES = {nib.Nifti1Header: nib.Nifti1Image, nib.Nifti2Header: nib.Nifti2Image}

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


class PreparedCase(ABC):
    """A case of which each sequence is standardised over the brain, in half precision, and 0 elsewhere.

    A sequence that the case lacks reads as 0 everywhere; :meth:`holds` tells which are there.

    Attributes:
        case (str): Its id.
        modalities (tuple[str, ...]): Names of the M channels, those that are there.
        shape (tuple[int, int, int]): (D, H, W).
        spacing (tuple[float, float, float]): Voxel size in mm along (D, H, W).
        brain_box (Box): Smallest box that holds the brain, half-open, along (D, H, W).
        has_seg (bool): Whether there is a segmentation.
        convention (LabelConvention): Of the source's labels; its scheme says what training labels mean.
        header (nib.Nifti1Header): Of the source's segmentation (without one: of its first sequence, as
            uint8), in the source's orientation.
    """

    case: str
    modalities: tuple[str, ...]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    brain_box: Box
    has_seg: bool
    convention: LabelConvention
    header: nib.Nifti1Header

    @abstractmethod
    def read_half(self, box: Box | None = None) -> np.ndarray:
        """Return what the brain's box, or ``box`` in it, holds of all modalities: float16 (D, M, H, W).

        ``box`` counts from the corner of the brain's box.
        """

    @abstractmethod
    def read_seg(self, box: Box | None = None) -> np.ndarray | None:
        """Return the labels, or the part in ``box``: uint8 (D, H, W), or None if the case has none."""

    def read_volume(
        self, modalities: Sequence[str], box: Box | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a volume or the part in ``box``: float32 (M, D, H, W) and uint8 (D, H, W) or None."""
        present, channels = self.channels_of(modalities)
        whole = [range(size)[bounds] for size, bounds in zip(self.shape, slices(box), strict=True)]
        image = np.zeros((len(modalities), *map(len, whole)), dtype=np.float32)
        common = [
            (max(axis.start, low), min(axis.stop, high))
            for axis, (low, high) in zip(whole, self.brain_box, strict=True)
        ]
        if all(start < end for start, end in common):
            lows = [low for low, _ in self.brain_box]
            held = tuple((i - low, j - low) for (i, j), low in zip(common, lows, strict=True))
            target = tuple(
                slice(i - axis.start, j - axis.start) for (i, j), axis in zip(common, whole, strict=True)
            )
            half = torch.from_numpy(self.read_half(held))
            for place, channel in zip(present, channels, strict=True):
                # By torch, which widens half precision several times as fast as numpy.
                torch.from_numpy(image[(place, *target)]).copy_(half[:, channel])
        return image, self.read_seg(box)

    def read_slice(self, z: int, modalities: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return axial slice ``z``: float32 image (M, H, W) and uint8 labels (H, W) or None."""
        z = range(self.shape[0])[z]
        image, seg = self.read_volume(modalities, ((z, z + 1), (0, self.shape[1]), (0, self.shape[2])))
        return image[:, 0], None if seg is None else seg[0]

    def on_disk(self, labels: np.ndarray, convention: str | None = None) -> np.ndarray:
        """Return ``labels`` as the source would write them: in its orientation and shape, and its numbers.

        Args:
            labels: Training labels, shape (D, H, W).
            convention: Whose labels, of the same classes. Default: the source's.

        Raises:
            ValueError: If the shape, a label or the convention is wrong.
        """
        labels = np.asarray(labels)
        if labels.shape != self.shape:
            raise ValueError(f'labels have shape {labels.shape}, case {self.case} has {self.shape}.')
        chosen = get_convention(convention) if convention else self.convention
        if chosen.scheme != self.convention.scheme:
            raise ValueError(
                f'case {self.case} has the classes of {self.convention.name}, '
                f'{list(self.convention.scheme.classes)}, which {chosen.name} cannot write.'
            )
        return self.in_source(chosen.to_disk(labels))

    def in_source(self, volume: np.ndarray) -> np.ndarray:
        """Turn a volume (D, H, W) into the orientation and shape of the source."""
        return to_source(np.moveaxis(volume, 0, 2), self.header)

    def write_nifti(self, labels: np.ndarray, out_path: str | Path, convention: str | None = None) -> None:
        """Write ``labels`` as the source would: its geometry, header, data type and labels.

        Args:
            labels: Training labels, shape (D, H, W).
            out_path: Ends in ``.nii`` or ``.nii.gz``; written whole or not at all.
            convention: Whose labels, of the same classes. Default: the source's.

        Raises:
            ValueError: If the shape, a label, the convention or the file's name is wrong.
        """
        try:
            volume = self.on_disk(labels, convention)
        except ValueError as error:
            raise ValueError(f'{out_path}: {str(error).rstrip(".")}.') from None
        self._write(volume.astype(self.header.get_data_dtype()), self.header, out_path)

    def write_probabilities(self, probabilities: np.ndarray, out_path: str | Path) -> None:
        """Write a volume a class in the source's geometry, as one NIfTI (X, Y, Z, K) of float32.

        Args:
            probabilities: Shape (K, D, H, W), in the order of the training labels.
            out_path: Ends in ``.nii`` or ``.nii.gz``; written whole or not at all.

        Raises:
            ValueError: If the file's name is wrong.
        """
        volumes = [self.in_source(volume) for volume in np.asarray(probabilities, dtype=np.float32)]
        header = self.header.copy()
        header.set_data_dtype(np.float32)
        self._write(np.stack([volume.reshape(volume.shape[:3]) for volume in volumes], -1), header, out_path)

    def holds(self, modalities: Sequence[str]) -> dict[str, bool]:
        """Return of each of ``modalities`` whether the case has it."""
        return {modality: modality in self.modalities for modality in modalities}

    def channels_of(self, modalities: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return which of ``modalities``, by place, are there, and their places among the channels.

        Raises:
            ValueError: If one is neither there nor a sequence that a case may lack.
        """
        unknown = [name for name in modalities if name not in self.modalities and name not in MODALITIES]
        if unknown:
            raise ValueError(
                f'Case {self.case} has no modality {unknown}; it has {list(self.modalities)}. '
                'Correct `modalities` in the config.'
            )
        places = [place for place, name in enumerate(modalities) if name in self.modalities]
        return places, [self.modalities.index(modalities[place]) for place in places]

    def _write(self, volume: np.ndarray, header: nib.Nifti1Header, out_path: str | Path) -> None:
        if not str(out_path).endswith(('.nii', '.nii.gz')):
            raise ValueError(f"{out_path}: the name must end in '.nii' or '.nii.gz'.")
        image = IMAGES[type(header)](volume, header.get_best_affine(), header)
        with replacing(out_path) as temporary:
            image.to_filename(temporary)


class CaseInMemory(PreparedCase):
    """A case that was read from its source, without a store: what a store of it would hold.

    Args:
        case: Its id.
        volumes: What its files hold.
        convention: What its labels mean.

    Raises:
        CaseError: If there is no brain, or a sequence is constant inside it.
    """

    def __init__(self, case: str, volumes: CaseVolumes, convention: LabelConvention) -> None:
        image, self.brain_share = normalise(volumes.image, volumes.modalities)
        self.case = case
        self.modalities = volumes.modalities
        self.shape = image.shape[1:]
        self.spacing = volumes.spacing
        self.has_seg = volumes.seg is not None
        self.convention = convention
        self.header = parse_header(volumes.header)
        self.oblique = volumes.oblique
        self._half, self.brain_box = cut_to_brain(image, case)
        self._seg = volumes.seg

    def read_half(self, box: Box | None = None) -> np.ndarray:
        depth, height, width = slices(box)
        return self._half[depth, :, height, width]

    def read_seg(self, box: Box | None = None) -> np.ndarray | None:
        return None if self._seg is None else self._seg[slices(box)]


def cut_to_brain(image: np.ndarray, name: str) -> tuple[np.ndarray, Box]:
    """Return what the brain's box holds, in half precision, float16 (D, M, H, W), and the box.

    Args:
        image: Shape (M, D, H, W), normalised, exactly 0 outside the brain.
        name: For errors.

    Raises:
        ValueError: If the image is empty or a value does not fit float16.
    """
    brain = (image != 0).any(axis=0)
    if not brain.any():
        raise ValueError(f'{name}: image is 0 everywhere.')
    box = _bounding_box(brain)
    with np.errstate(over='ignore'):
        half = np.moveaxis(image[(slice(None), *slices(box))], 0, 1).astype(np.float16, order='C')
    if not np.isfinite(half).all():
        raise ValueError(f'{name}: image holds values that float16 cannot; normalise it first.')
    return half, box


def slices(box: Sequence[tuple[int, int]] | None) -> tuple[slice, ...]:
    """Return a box as an index of the axes (D, H, W); None is all."""
    return tuple(slice(*bounds) for bounds in box) if box else (slice(None),) * 3


def _bounding_box(mask: np.ndarray) -> Box:
    """Return the half-open box around the true voxels of a mask that has some."""
    box = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append((int(inside[0]), int(inside[-1]) + 1))
    return tuple(box)
