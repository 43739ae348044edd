"""Small brain tumour cases, written as the challenges write theirs."""

from pathlib import Path

import nibabel as nib
import numpy as np

from mmcggm.datasets.brats.cases import NAMINGS
from mmcggm.datasets.brats.label_conventions import DEFAULTS

SHAPE = (32, 40, 24)
LPS = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 39], [0, 0, 1, 0], [0, 0, 0, 1]])


def write_synthetic_case(
    folder: str | Path,
    case: str,
    naming: str = '2021',
    shape: tuple[int, int, int] = SHAPE,
    seed: int = 0,
    with_seg: bool = True,
    et: bool = True,
    tumour: bool = True,
    affine: np.ndarray = LPS,
    extension: str = '.nii.gz',
    seg_dtype: type = np.uint8,
) -> dict[str, Path]:
    """Write a case to ``folder/case`` and return its files by sequence.

    An ellipsoid is the brain. Each sequence has its own brightness for each tissue, noise, and small
    negative values at the brain's rim and just outside it, as interpolation leaves them.

    Args:
        folder: The source folder; made if absent.
        case: Id of the case.
        naming: ``'2021'`` or ``'2023'``: of the files, and of the label for ET.
        shape: NIfTI shape (X, Y, Z).
        seed: Of noise, brightness and the tumour's place.
        with_seg: Whether to write a segmentation.
        et: Whether the tumour enhances.
        tumour: Whether there is one.
        affine: Of all files.
        extension: ``'.nii.gz'`` or ``'.nii'``.
        seg_dtype: Type on disk of the segmentation.
    """
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1.25, 1.25, size) for size in shape), indexing='ij'))
    radius = np.sqrt((grid**2).sum(axis=0))
    seg = np.zeros(shape, dtype=np.uint8)
    if tumour:
        distance = np.sqrt(((grid.T - rng.uniform(-0.3, 0.3, 3)).T ** 2).sum(axis=0))
        seg[distance < 0.5] = 2
        seg[distance < 0.35] = 3 if et else 2
        seg[distance < 0.22] = 1

    target = Path(folder) / case
    target.mkdir(parents=True, exist_ok=True)
    files = {}
    for sequence in ('flair', 't1ce', 't1', 't2'):
        tissue = rng.uniform(200, 900, size=4)
        image = tissue[seg] * rng.uniform(0.8, 1.2, size=shape)
        image[radius > 1] = 0
        image[(abs(radius - 1) < 0.05) & (rng.random(shape) < 0.2)] = rng.integers(-9, 0)
        files[sequence] = _write(target, case, naming, sequence, image.astype(np.int16), affine, extension)
    if with_seg:
        on_disk = DEFAULTS[naming].to_disk(seg).astype(seg_dtype)
        files['seg'] = _write(target, case, naming, 'seg', on_disk, affine, extension)
    return files


def _write(
    folder: Path, case: str, naming: str, sequence: str, array: np.ndarray, affine: np.ndarray, extension: str
) -> Path:
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    image.set_qform(affine, code=2)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units('mm')
    path = folder / NAMINGS[naming].file_name(case, sequence).replace('.nii.gz', extension)
    nib.save(image, path)
    return path
