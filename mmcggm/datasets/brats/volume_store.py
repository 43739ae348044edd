"""The store: one HDF5 file a case, from which a slice is read without reading the volume.

Layout of ``{case}.h5``:

- ``image`` (D, M, H, W) float16, one chunk a slice, cut to the brain's box: outside it everything is
  0. The values are z-scores; half precision keeps them to 1/2048 of their size, well below the steps
  of the integer source.
- ``seg`` (D, H, W) uint8 in training labels, one chunk a slice, not cut; absent if the case has none.
- attribute ``meta``: JSON. Attribute ``header``: the binary NIfTI header of the source.

Both are compressed with LZF: on real cases a slice is read in 0.8 of the time that gzip takes, for
1.1 times the space.

Axes are (D, H, W) = NIfTI (Z, X, Y): a slice is axial.
"""

import json
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

import nibabel as nib
import numpy as np

from mmcggm.utils import import_optional
from mmcggm.utils.atomic import replacing

from .cases import NAMINGS

FORMAT = 1  # raise when the layout or the normalisation changes: older files are then converted again
COMPRESSION = dict(compression='lzf')
HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
IMAGES = {nib.Nifti1Header: nib.Nifti1Image, nib.Nifti2Header: nib.Nifti2Image}

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def case_path(store: str | Path, case: str) -> Path:
    """Return where ``store`` keeps ``case``."""
    return Path(store) / 'cases' / f'{case}.h5'


def write_case(
    path: str | Path,
    image: np.ndarray,
    seg: np.ndarray | None,
    *,
    modalities: Sequence[str],
    spacing: Sequence[float],
    header: bytes,
    et_label: int,
    source: list,
) -> None:
    """Write one case, whole or not at all. The file's stem is the case's id.

    Args:
        path: The ``.h5`` file; replaced if it exists.
        image: Shape (M, D, H, W), normalised, exactly 0 outside the brain.
        seg: Training labels, uint8, shape (D, H, W), or None.
        modalities: The M names of the channels.
        spacing: Voxel size in mm along (D, H, W).
        header: Binary NIfTI header that describes a segmentation of this case.
        et_label: What the source writes for the enhancing tumour, 3 or 4.
        source: What the case was made from, as JSON-able values; see :func:`is_current`.

    Raises:
        ValueError: If the shapes disagree, the image is empty or a value does not fit float16.
    """
    if image.ndim != 4 or len(image) != len(modalities) or (seg is not None and seg.shape != image.shape[1:]):
        raise ValueError(
            f'{path}: image {image.shape} must be (M, D, H, W) with the {len(modalities)} modalities '
            f'{list(modalities)}, and seg (D, H, W), got {None if seg is None else seg.shape}.'
        )
    brain = (image != 0).any(axis=0)
    if not brain.any():
        raise ValueError(f'{path}: image is 0 everywhere.')
    brain_box = _bounding_box(brain)
    depth, height, width = _slices(brain_box)
    with np.errstate(over='ignore'):
        half = np.moveaxis(image, 0, 1)[depth, :, height, width].astype(np.float16, order='C')
    if not np.isfinite(half).all():
        raise ValueError(f'{path}: image holds values that float16 cannot; normalise it first.')
    meta = dict(
        format=FORMAT,
        modalities=list(modalities),
        shape=image.shape[1:],
        spacing=[float(size) for size in spacing],
        brain_box=brain_box,
        tumour_slices=[] if seg is None else np.flatnonzero(seg.any(axis=(1, 2))).tolist(),
        has_seg=seg is not None,
        et_label=et_label,
        source=source,
    )
    h5py = import_optional('h5py', extra='brats')
    with replacing(path) as temporary, h5py.File(temporary, 'w') as file:
        file.attrs['meta'] = json.dumps(meta)
        file.attrs['header'] = np.frombuffer(header, dtype=np.uint8)
        file.create_dataset('image', data=half, chunks=(1, *half.shape[1:]), **COMPRESSION)
        if seg is not None:
            file.create_dataset('seg', data=seg, chunks=(1, *seg.shape[1:]), **COMPRESSION)


def is_current(path: str | Path, source: list) -> bool:
    """Say whether ``path`` is a case that this version wrote from ``source``."""
    try:
        return StoredCase(path).source == source
    except (OSError, ValueError):
        return False


class StoredCase:
    """One case of the store. The file is opened for each read, so objects are cheap and fork-safe.

    Args:
        path: The case's ``.h5`` file.

    Attributes:
        case (str): Its id.
        modalities (tuple[str, ...]): Names of the M channels.
        shape (tuple[int, int, int]): (D, H, W).
        spacing (tuple[float, float, float]): Voxel size in mm along (D, H, W).
        brain_box (Box): Smallest box that holds the brain, half-open, along (D, H, W).
        tumour_slices (np.ndarray): Indices of the slices with tumour; empty without a segmentation.
        has_seg (bool): Whether there is a segmentation.
        et_label (int): What the source writes for the enhancing tumour, 3 or 4.
        source (list): What the case was made from.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If the file cannot be read as HDF5.
        ValueError: If another version of the converter wrote it, or something else did.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.case = self.path.stem
        meta = _read_meta(self.path, _modified(self.path))
        self.modalities: tuple[str, ...] = tuple(meta['modalities'])
        self.shape: tuple[int, int, int] = tuple(meta['shape'])
        self.spacing: tuple[float, float, float] = tuple(meta['spacing'])
        self.brain_box: Box = tuple(tuple(bounds) for bounds in meta['brain_box'])
        self.tumour_slices = np.array(meta['tumour_slices'], dtype=np.int64)
        self.has_seg: bool = meta['has_seg']
        self.et_label: int = meta['et_label']
        self.source: list = meta['source']

    @cached_property
    def header(self) -> nib.Nifti1Header:
        """The NIfTI header of the source's segmentation (without one: of its first sequence, as uint8)."""
        with _open(self.path) as file:
            raw = file.attrs['header'].tobytes()
        return HEADERS[len(raw)](raw)

    def read_slice(self, z: int, modalities: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
        """Read axial slice ``z``: float32 image (M, H, W) and uint8 labels (H, W) or None."""
        channels = self._channels(modalities)
        z = range(self.shape[0])[z]
        depth, height, width = _slices(self.brain_box)
        image = np.zeros((len(channels), *self.shape[1:]), dtype=np.float32)
        with _open(self.path) as file:
            if depth.start <= z < depth.stop:
                image[:, height, width] = file['image'][z - depth.start][channels]
            return image, file['seg'][z] if self.has_seg else None

    def read_volume(
        self, modalities: Sequence[str], box: Box | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Read a volume or the part in ``box``: float32 (M, D, H, W) and uint8 (D, H, W) or None."""
        channels = self._channels(modalities)
        image = np.zeros((len(channels), *self.shape), dtype=np.float32)
        depth, height, width = _slices(self.brain_box)
        with _open(self.path) as file:
            image[:, depth, height, width] = np.moveaxis(file['image'][:], 1, 0)[channels]
        depth, height, width = _slices(box)
        return image[:, depth, height, width], self.read_seg(box)

    def read_seg(self, box: Box | None = None) -> np.ndarray | None:
        """Read the labels, or the part in ``box``: uint8 (D, H, W), or None if the case has none."""
        if not self.has_seg:
            return None
        with _open(self.path) as file:
            return file['seg'][_slices(box)]

    def write_nifti(self, labels: np.ndarray, out_path: str | Path, convention: str | None = None) -> None:
        """Write ``labels`` as the source would: its geometry, header, data type and label for ET.

        Args:
            labels: Training labels, shape (D, H, W).
            out_path: Ends in ``.nii`` or ``.nii.gz``; written whole or not at all.
            convention: Whose label for ET: ``'2021'`` (4) or ``'2023'`` (3). Default: the source's.

        Raises:
            ValueError: If the shape, a label or the file's name is wrong.
        """
        labels = np.asarray(labels)
        if labels.shape != self.shape:
            raise ValueError(
                f'{out_path}: labels have shape {labels.shape}, case {self.case} has {self.shape}.'
            )
        if not np.isin(labels, (0, 1, 2, 3)).all():
            raise ValueError(f'{out_path}: labels must be 0, 1, 2 or 3, got {np.unique(labels).tolist()}.')
        if not str(out_path).endswith(('.nii', '.nii.gz')):
            raise ValueError(f"{out_path}: the name must end in '.nii' or '.nii.gz'.")
        et_label = NAMINGS[convention].et_label if convention else self.et_label
        on_disk = np.array([0, 1, 2, et_label], dtype=self.header.get_data_dtype())
        volume = np.moveaxis(on_disk[labels.astype(np.intp)], 0, 2)
        image = IMAGES[type(self.header)](volume, self.header.get_best_affine(), self.header)
        with replacing(out_path) as temporary:
            image.to_filename(temporary)

    def _channels(self, modalities: Sequence[str]) -> list[int]:
        missing = [modality for modality in modalities if modality not in self.modalities]
        if missing:
            raise ValueError(
                f'{self.path} has no modality {missing}; it has {list(self.modalities)}. '
                'Correct `modalities` in the config.'
            )
        return [self.modalities.index(modality) for modality in modalities]


def _open(path: Path):
    # A stored case never changes, so HDF5's file locks (which some network file systems refuse) serve
    # nothing.
    h5py = import_optional('h5py', extra='brats')
    try:
        return h5py.File(path, 'r', locking=False)
    except OSError as error:
        raise OSError(
            f'{path} cannot be read ({error}). Convert it again with tools/dataset_converters/brats.py.'
        ) from error


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        raise FileNotFoundError(f'{path} does not exist.') from None


@cache
def _read_meta(path: Path, modified: int) -> dict:
    """Read a case's metadata once for each version of its file: opening it costs as much as a slice."""
    with _open(path) as file:
        meta = json.loads(file.attrs.get('meta', '{}'))
    if meta.get('format') != FORMAT:
        raise ValueError(
            f'{path} is not a case of the store in format {FORMAT}. '
            'Convert it again with tools/dataset_converters/brats.py.'
        )
    return meta


def _slices(box: Sequence[tuple[int, int]] | None) -> tuple[slice, ...]:
    return tuple(slice(*bounds) for bounds in box) if box else (slice(None),) * 3


def _bounding_box(mask: np.ndarray) -> Box:
    """Return the half-open box around the true voxels of a mask that has some."""
    box = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append((int(inside[0]), int(inside[-1]) + 1))
    return tuple(box)
