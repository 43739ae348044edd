"""The store: one HDF5 file a case, from which a slice or a box is read without reading the volume.

Layout of ``{case}.h5``:

- ``image`` (D, M, H, W) float16, cut to the brain's box: outside it everything is 0. The values are
  z-scores; half precision keeps them to 1/2048 of their size, well below the steps of the integer source.
- ``seg`` (D, H, W) uint8 in training labels, not cut; absent if the case has none.
- attribute ``meta``: JSON, as bytes; its ``modalities`` are the M sequences that the case has. Attribute
  ``header``: the binary NIfTI header of the source.

Both lie in blocks, of which those that hold 0 alone take no space. The blocks are flat, so that a patch
costs what it holds and a slice little more. They are not compressed: undoing that took nine tenths of the
time of a read. Each block has a checksum, and so has, in the file format of HDF5 1.10, all that HDF5 itself
keeps: what was damaged since is an error when it is read. A file says how its blocks are cut, so that files
with others, such as the compressed slices of earlier versions, are read as well.

Axes are (D, H, W) = (Z, X, Y) of a volume in the orientation LPS, whatever the source's: a slice is axial.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from mmcggm.utils import import_optional
from mmcggm.utils.atomic import replacing

from .cases import check_case_id
from .label_conventions import LabelConvention, get_convention, present_labels
from .nifti import parse_header
from .prepared_case import Box, PreparedCase, cut_to_brain, slices

FORMAT = 2  # raise when names, axes or the normalisation change: older files are then converted again
IMAGE_BLOCK = (4, 48, 56)  # along (D, H, W), about; of all modalities
SEG_BLOCK = (8, 60, 60)
AGAIN = 'Convert it again with `mmcggm convert brats`.'


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
    half, brain_box = cut_to_brain(image, str(path))
    box = (slice(None), *slices(brain_box))
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
        scan=_scan(image[box]),
        source=source,
    )
    h5py = import_optional('h5py', extra='brats')
    try:
        with replacing(path) as temporary, h5py.File(temporary, 'w', libver=('v110', 'v110')) as file:
            # As bytes: HDF5 keeps strings in a heap that has no checksum.
            file.attrs['meta'] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
            file.attrs['header'] = np.frombuffer(header, dtype=np.uint8)
            depth, height, width = _even(IMAGE_BLOCK, (half.shape[0], *half.shape[2:]))
            _write_blocks(file, 'image', half, (depth, len(modalities), height, width))
            if seg is not None:
                _write_blocks(file, 'seg', seg, _even(SEG_BLOCK, seg.shape))
    except OSError as error:
        raise OSError(f'{path} cannot be written: {reason_of(error)}.') from error


def _even(block: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of blocks of about the shape ``block`` that fill ``shape`` with little left over."""
    return tuple(-(-size // max(round(size / side), 1)) for side, size in zip(block, shape, strict=True))


def _write_blocks(file: Any, name: str, data: np.ndarray, block: tuple[int, ...]) -> None:
    """Write an array of blocks, each with a checksum, to an open HDF5 file."""
    dataset = file.create_dataset(name, data.shape, data.dtype, chunks=block, fletcher32=True)
    for part in dataset.iter_chunks():
        if data[part].any():  # what is not written reads as 0
            dataset[part] = data[part]


def _scan(image: np.ndarray) -> str:
    """Return a digest of a scan within the brain's box, (M, D, H, W).

    It is made of the brain's shape and of where each sequence is brightest and darkest: none of that changes
    with the scale of the intensities, and no two scans have it in common.
    """
    brain = (image != 0).any(axis=0)
    extremes = [(int(channel.argmax()), int(channel.argmin())) for channel in image]
    digest = hashlib.blake2b(np.packbits(brain), digest_size=16)
    digest.update(repr((brain.shape, extremes)).encode())
    return digest.hexdigest()


def reason_of(error: OSError) -> str:
    """Return what the system says went wrong, without what a library adds to it."""
    return os.strerror(error.errno) if error.errno else str(error)


class StoredCase(PreparedCase):
    """One case of the store. The file is opened for each read, so objects are cheap and fork-safe.

    Args:
        path: The case's ``.h5`` file.

    Attributes:
        case (str): Its id.
        modalities (tuple[str, ...]): Names of the M channels, those that are there.
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
        present, channels = self.channels_of(modalities)
        z = range(self.shape[0])[z]
        depth, height, width = slices(self.brain_box)
        image = np.zeros((len(modalities), *self.shape[1:]), dtype=np.float32)
        with _open(self.path) as file:
            if depth.start <= z < depth.stop:
                image[present, height, width] = _read(file, 'image', z - depth.start)[channels]
            return image, _read(file, 'seg', z) if self.has_seg else None

    def read_half(self, box: Box | None = None) -> np.ndarray:
        """Read what the brain's box, or ``box`` in it, holds of all modalities: float16 (D, M, H, W).

        Of a box the blocks that it crosses are read.
        """
        depth, height, width = slices(box)
        with _open(self.path) as file:
            return _read(file, 'image', (depth, slice(None), height, width))

    def read_seg(self, box: Box | None = None) -> np.ndarray | None:
        """Read the labels, or the part in ``box``: uint8 (D, H, W), or None if the case has none."""
        if not self.has_seg:
            return None
        with _open(self.path) as file:
            return _read(file, 'seg', slices(box))


def _read(file: Any, name: str, part: Any) -> np.ndarray:
    """Read a part of an array of an open case.

    HDF5's checksum, Fletcher's, takes 16 bits that are all 1 for 16 that are all 0. No sound file has the
    former, which would be a NaN or two labels of 255, so that they tell what the checksum does not.
    """
    data = file[name][part]
    bits = data.view(f'u{data.itemsize}')
    if bits.max(initial=0) == np.iinfo(bits.dtype).max:
        raise OSError(f"'{name}' is damaged")
    return data


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
