"""Cases as the BraTS challenges publish them: how to find them in a folder and read them.

BraTS 2021 and earlier name a case's files ``{case}_{flair,t1,t1ce,t2,seg}``, BraTS 2023 and later
``{case}-{t2f,t1n,t1c,t2w,seg}``, each ``.nii.gz`` or ``.nii``. Modalities bear the names of 2021 here.
"""

import os
import re
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

MODALITIES = ('flair', 't1ce', 't1', 't2')
UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)
AFFINE_TOLERANCE = 1e-3  # mm; headers of one case differ by rounding


class CaseError(ValueError):
    """What is wrong with one case of the source."""


@dataclass(frozen=True)
class Naming:
    """How one generation of BraTS names its files."""

    separator: str
    sequences: dict[str, str]
    et_label: int

    def file_name(self, case: str, sequence: str) -> str:
        """Return the expected name of a case's file."""
        suffix = next(suffix for suffix, name in self.sequences.items() if name == sequence)
        return f'{case}{self.separator}{suffix}.nii.gz'

    def parse(self, file_name: str) -> tuple[str, str] | None:
        """Split a file's name into case and sequence; None if it is not named so."""
        pattern = rf'(.+){self.separator}({"|".join(self.sequences)})\.nii(?:\.gz)?'
        match = re.fullmatch(pattern, file_name)
        return (match[1], self.sequences[match[2]]) if match else None


NAMINGS = {
    '2021': Naming('_', dict(flair='flair', t1ce='t1ce', t1='t1', t2='t2', seg='seg'), et_label=4),
    '2023': Naming('-', dict(t2f='flair', t1c='t1ce', t1n='t1', t2w='t2', seg='seg'), et_label=3),
}
EXPECTED = (
    'Expected one folder a case with files named as BraTS 2021 ({case}_flair, _t1, _t1ce, _t2, _seg) '
    'or as BraTS 2023 and later ({case}-t2f, -t1n, -t1c, -t2w, -seg), each .nii.gz or .nii.'
)


@dataclass(frozen=True)
class SourceCase:
    """A case whose four sequences are there.

    Attributes:
        case: Its id.
        naming: Key of :data:`NAMINGS`.
        files: Path by sequence, in the order of :data:`MODALITIES`; ``'seg'`` last, if there is one.
    """

    case: str
    naming: str
    files: dict[str, Path]

    def fingerprint(self) -> list:
        """Return name, size in bytes and modification time in ns of each file.

        Raises:
            CaseError: If a file is gone, or a link points nowhere.
        """
        result = []
        for path in self.files.values():
            try:
                stat = path.stat()
            except OSError as error:
                raise CaseError(f'{path.name} cannot be read: {error}') from error
            result.append([path.name, stat.st_size, stat.st_mtime_ns])
        return result


@dataclass(frozen=True)
class CaseVolumes:
    """What a case's files hold.

    Attributes:
        image: float32, shape (M, D, H, W), intensities of the source in the order of :data:`MODALITIES`.
        seg: Training labels, uint8, shape (D, H, W), or None.
        spacing: Voxel size in mm along (D, H, W).
        header: Binary NIfTI header that describes a segmentation of this case.
        et_label: What the source writes for the enhancing tumour: 4 or 3, as its segmentation does,
            else as its naming does.
    """

    image: np.ndarray
    seg: np.ndarray | None
    spacing: tuple[float, float, float]
    header: bytes
    et_label: int


def find_cases(source: str | Path) -> tuple[list[SourceCase], dict[str, str], list[str]]:
    """Find all cases below a folder.

    Args:
        source: Searched at any depth; links are followed, hidden files and folders left out.

    Returns:
        The cases with four sequences in order of their ids; for each other case what is wrong with
        it; and the NIfTI files that neither naming explains.

    Raises:
        FileNotFoundError: If there is no such folder, or no case in it.
    """
    source = Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f'{source} is not a folder. {EXPECTED}')
    found: dict[str, list[tuple[str, str, Path]]] = defaultdict(list)
    unexplained = []
    for folder, subfolders, names in os.walk(source, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith('.')]
        for name in names:
            if name.startswith('.') or not name.endswith(('.nii', '.nii.gz')):
                continue
            path = Path(folder, name)
            for key, naming in NAMINGS.items():
                if parsed := naming.parse(name):
                    case, sequence = parsed
                    found[case].append((key, sequence, path))
                    break
            else:
                unexplained.append(str(path))
    if not found:
        raise FileNotFoundError(f'{source} holds no case. {EXPECTED}')

    cases, bad = [], {}
    for case in sorted(found):
        try:
            cases.append(_assemble(case, found[case]))
        except CaseError as error:
            bad[case] = str(error)
    return cases, bad, sorted(unexplained)


def _assemble(case: str, found: list[tuple[str, str, Path]]) -> SourceCase:
    namings = {naming for naming, _, _ in found}
    if len(namings) > 1:
        folders = sorted({str(path.parent) for _, _, path in found})
        raise CaseError(f'occurs in both namings, in {", ".join(folders)}; keep one of them')
    naming = namings.pop()
    files: dict[str, Path] = {}
    for _, sequence, path in sorted(found, key=lambda item: item[2]):
        if sequence in files:
            raise CaseError(f'has {sequence} twice: {files[sequence]} and {path}; keep one of them')
        files[sequence] = path
    missing = [NAMINGS[naming].file_name(case, modality) for modality in MODALITIES if modality not in files]
    if missing:
        raise CaseError(f'lacks {", ".join(missing)}')
    return SourceCase(case, naming, {name: files[name] for name in (*MODALITIES, 'seg') if name in files})


def read_case(case: SourceCase) -> CaseVolumes:
    """Read and check a case's files.

    Raises:
        CaseError: If a file cannot be read, is not a 3D volume of finite numbers, differs from the
            others in shape or affine, or holds unknown labels. The message names the file.
    """
    images = {sequence: load_nifti(path) for sequence, path in case.files.items()}
    reference, _ = images[MODALITIES[0]]
    reference_name = case.files[MODALITIES[0]].name
    for sequence, (nifti, _) in images.items():
        name = case.files[sequence].name
        if nifti.shape != reference.shape:
            raise CaseError(f'{name} has shape {nifti.shape}, {reference_name} {reference.shape}')
        if not np.allclose(nifti.affine, reference.affine, rtol=0, atol=AFFINE_TOLERANCE):
            raise CaseError(f'{name} and {reference_name} differ in their affine: they are not aligned')

    et_label = NAMINGS[case.naming].et_label
    seg = None
    header = (images['seg'][0] if 'seg' in images else reference).header.copy()
    if 'seg' in images:
        seg, et_label = training_labels(images['seg'][1], case.files['seg'].name, default_et=et_label)
    else:
        header.set_data_dtype(np.uint8)
        header['cal_min'] = header['cal_max'] = 0  # the display window of a sequence hides labels
    x, y, z = (float(size) for size in nib.affines.voxel_sizes(reference.affine))
    return CaseVolumes(
        image=np.stack([_axial(images[modality][1]).astype(np.float32) for modality in MODALITIES]),
        seg=seg,
        spacing=(z, x, y),
        header=header.binaryblock,
        et_label=et_label,
    )


def load_nifti(path: Path) -> tuple[nib.Nifti1Image, np.ndarray]:
    try:
        nifti = nib.load(path)
        array = np.asanyarray(nifti.dataobj)
    except UNREADABLE as error:
        raise CaseError(f'{path.name} cannot be read: {error}') from error
    if array.ndim != 3:
        raise CaseError(f'{path.name} has shape {array.shape}; a 3D volume is needed')
    if array.dtype.kind not in 'iuf':
        raise CaseError(f'{path.name} holds values of type {array.dtype}; real numbers are needed')
    if not np.isfinite(array).all():
        raise CaseError(f'{path.name} holds NaN or infinite values')
    return nifti, array


def training_labels(seg: np.ndarray, name: str, default_et: int) -> tuple[np.ndarray, int]:
    """Map 4 to 3, and say which of them the file uses."""
    present = set(np.unique(seg).tolist())
    unknown = sorted(present - {0, 1, 2, 3, 4})
    if unknown:
        raise CaseError(f'{name} holds labels {unknown[:5]}; known are 0, 1, 2 and 3 or 4')
    if {3, 4} <= present:
        raise CaseError(
            f'{name} holds both 3 and 4, which both mean enhancing tumour '
            '(4 as resection cavity, in BraTS 2024, is not supported)'
        )
    et_label = next((label for label in (3, 4) if label in present), default_et)
    labels = _axial(seg).astype(np.uint8, order='C')
    labels[labels == 4] = 3
    return labels, et_label


def _axial(array: np.ndarray) -> np.ndarray:
    """NIfTI (X, Y, Z) to (D, H, W) = (Z, X, Y)."""
    return np.moveaxis(array, 2, 0)
