"""The store: one HDF5 file a case, from which a slice is read without reading the volume.

Layout of ``{case}.h5``:

- ``image`` (D, M, H, W) float16, one chunk a slice, cut to the brain's box: outside it everything is
  0. The values are z-scores; half precision keeps them to 1/2048 of their size, well below the steps
  of the integer source.
- ``seg`` (D, H, W) uint8 in training labels, one chunk a slice, not cut; absent if the case has none.
- attribute ``meta``: JSON, as bytes. Attribute ``header``: the binary NIfTI header of the source.

Both are compressed with LZF: on real cases a slice is read in 0.8 of the time that gzip takes, for
1.1 times the space. Each chunk has a checksum, and so has, in the file format of HDF5 1.10, all that HDF5
itself keeps: what was damaged since is an error when it is read.

Axes are (D, H, W) = (Z, X, Y) of a volume in the orientation LPS, whatever the source's: a slice is axial.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path

import nibabel as nib
import numpy as np

from mmcggm.utils import import_optional
from mmcggm.utils.atomic import replacing

from .cases import check_case_id
from .label_conventions import LabelConvention, get_convention, present_labels
from .nifti import parse_header, to_source

FORMAT = 2  # raise when the layout or the normalisation changes: older files are then converted again
CHUNKS = dict(compression='lzf', fletcher32=True)
AGAIN = 'Convert it again with `mmcggm convert brats`.'
IMAGES = {nib.Nifti1Header: nib.Nifti1Image, nib.Nifti2Header: nib.Nifti2Image}

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def case_path(store: str | Path, case: str) -> Path:
    """Return where ``store`` keeps ``case``.

    Raises:
        ValueError: If the id would name a path elsewhere.
    """
    return Path(store) / 'cases' / f'{check_case_id(case)}.h5'


def write_case(
    path: str | Path,
    image: np.ndarray,
    seg: np.ndarray | None,
    *,
    modalities: Sequence[str],
    spacing: Sequence[float],
    header: bytes,
    labels: str,
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
        labels: Name of the source's label convention.
        source: What the case was made from, as JSON-able values.

    Raises:
        ValueError: If the shapes disagree, the image is empty or a value does not fit float16.
        OSError: If the file cannot be written.
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
        labels=labels,
        present=[] if seg is None else present_labels(seg),
        scan=_scan(image[:, depth, height, width], brain[depth, height, width]),
        source=source,
    )
    h5py = import_optional('h5py', extra='brats')
    try:
        with replacing(path) as temporary, h5py.File(temporary, 'w', libver=('v110', 'v110')) as file:
            # As bytes: HDF5 keeps strings in a heap that has no checksum.
            file.attrs['meta'] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
            file.attrs['header'] = np.frombuffer(header, dtype=np.uint8)
            file.create_dataset('image', data=half, chunks=(1, *half.shape[1:]), **CHUNKS)
            if seg is not None:
                file.create_dataset('seg', data=seg, chunks=(1, *seg.shape[1:]), **CHUNKS)
    except OSError as error:
        raise OSError(f'{path} cannot be written: {reason_of(error)}.') from error


def _scan(image: np.ndarray, brain: np.ndarray) -> str:
    """Return a digest of a scan within the brain's box, (M, D, H, W) and (D, H, W).

    It is made of the brain's shape and of where each sequence is brightest and darkest: none of that changes
    with the scale of the intensities, and no two scans have it in common.
    """
    extremes = [(int(channel.argmax()), int(channel.argmin())) for channel in image]
    digest = hashlib.blake2b(np.packbits(brain), digest_size=16)
    digest.update(repr((brain.shape, extremes)).encode())
    return digest.hexdigest()


def reason_of(error: OSError) -> str:
    """Return what the system says went wrong, without what a library adds to it."""
    return os.strerror(error.errno) if error.errno else str(error)


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
        convention (LabelConvention): Of the source's labels; its scheme says what training labels mean.
        present (list[int]): The training labels that occur.
        scan (str): Digest by which equal scans are found, whatever their scale and padding.
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
        self.convention: LabelConvention = get_convention(meta['labels'])
        self.present: list[int] = meta['present']
        self.scan: str = meta['scan']
        self.source: list = meta['source']

    @cached_property
    def header(self) -> nib.Nifti1Header:
        """The NIfTI header of the source's segmentation (without one: of its first sequence, as uint8)."""
        with _open(self.path) as file:
            raw = file.attrs['header'].tobytes()
        return parse_header(raw)

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
        """Write ``labels`` as the source would: its geometry, header, data type and labels.

        Args:
            labels: Training labels, shape (D, H, W).
            out_path: Ends in ``.nii`` or ``.nii.gz``; written whole or not at all.
            convention: Whose labels, of the same classes. Default: the source's.

        Raises:
            ValueError: If the shape, a label, the convention or the file's name is wrong.
        """
        labels = np.asarray(labels)
        if labels.shape != self.shape:
            raise ValueError(
                f'{out_path}: labels have shape {labels.shape}, case {self.case} has {self.shape}.'
            )
        chosen = get_convention(convention) if convention else self.convention
        if chosen.scheme != self.convention.scheme:
            raise ValueError(
                f'{out_path}: case {self.case} has the classes of {self.convention.name}, '
                f'{list(self.convention.scheme.classes)}, which {chosen.name} cannot write.'
            )
        try:
            on_disk = chosen.to_disk(labels)
        except ValueError as error:
            raise ValueError(f'{out_path}: {error}.') from None
        if not str(out_path).endswith(('.nii', '.nii.gz')):
            raise ValueError(f"{out_path}: the name must end in '.nii' or '.nii.gz'.")
        volume = to_source(np.moveaxis(on_disk, 0, 2), self.header).astype(self.header.get_data_dtype())
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


@contextmanager
def _open(path: Path) -> Iterator:
    """Open a case to read from it; what is damaged is an error that names the file."""
    h5py = import_optional('h5py', extra='brats')
    try:
        # A stored case never changes, so HDF5's file locks (which some network file systems refuse) serve
        # nothing.
        with h5py.File(path, 'r', locking=False) as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise OSError(f'{path} cannot be read ({error}). Remove the file if it is there. {AGAIN}') from error


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        raise FileNotFoundError(f'{path} does not exist.') from None


@cache
def _read_meta(path: Path, modified: int) -> dict:
    """Read a case's metadata once for each version of its file: opening it costs as much as a slice."""
    with _open(path) as file:
        meta = file.attrs.get('meta')
    try:
        meta = json.loads(meta.tobytes())
        current = meta['format'] == FORMAT
    except (AttributeError, KeyError, TypeError, ValueError):  # an older format, or another program's file
        current = False
    if not current:
        raise ValueError(f'{path} is not a case of the store in format {FORMAT}. {AGAIN}')
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
