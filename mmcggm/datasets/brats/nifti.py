"""Reading one NIfTI file from anywhere: whole, checked, and brought to one orientation.

A file is read to its end, so that the checksum of a ``.nii.gz`` is checked; how much is read is known from
the header before, so that no file costs more memory than a volume of :data:`MAX_VOXELS`. Whatever is wrong is
a :class:`CaseError` that names the file.
"""

import gzip
import io
import math
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from nibabel.spatialimages import HeaderDataError

LPS = axcodes2ornt('LPS')  # as BraTS stores its volumes: to the left, to the back, upwards
MAX_VOXELS = 512**3
MAX_VALUE = 1e30  # well within single precision
MAX_OFFSET = 1 << 24  # bytes of header and extensions before the voxels
MAX_RATIO = 1040  # deflate makes at most 1032 bytes of one
VOXEL_SIZES = (0.05, 25.0)  # mm
MAX_ORIGIN = 1e4  # mm
MIN_VOLUME = 0.5  # of a voxel, as a share of the box with its edges: less is skewed beyond a scanner's tilt
SAME_SIZE = 0.01  # share by which sform and qform may differ in voxel size
OBLIQUE = math.radians(1)
GZIP = b'\x1f\x8b'
HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    zlib.error,
    ImageFileError,
    HeaderDataError,
    MemoryError,
)


class CaseError(ValueError):
    """What is wrong with one case of the source."""


@dataclass(frozen=True)
class Volume:
    """A volume in the orientation LPS.

    Attributes:
        name: Of its file.
        array: Shape (X, Y, Z), real numbers as the file means them.
        affine: From these voxels to mm, (4, 4).
        header: The file's own, in the file's orientation.
        oblique: Whether an axis lies more than 1° off the patient's.
    """

    name: str
    array: np.ndarray
    affine: np.ndarray
    header: nib.Nifti1Header
    oblique: bool


def read_nifti(path: Path) -> Volume:
    """Read a 3D volume of finite real numbers.

    Raises:
        CaseError: If the file cannot be read to its end, is no such volume, or says nothing or nonsense of
            how it lies.
    """
    name = path.name
    with _opened(path) as (file, file_size):
        header = _read_header(file, name)
        shape, dtype = _checked_shape(header, name)
        total = _offset(header) + math.prod(shape) * dtype.itemsize
        _check_file_size(path, file_size, total)
        file.seek(0)
        content = file.read(total + 1)
        if len(content) != total:
            found = 'holds more than' if len(content) > total else f'ends after {len(content)} bytes, not'
            raise CaseError(f'{name} cannot be read: it {found} the {total} bytes that its header names')
        array = np.frombuffer(content, dtype, offset=_offset(header)).reshape(shape, order='F')
        array = nib.volumeutils.apply_read_scaling(array, *header.get_slope_inter())
    return _oriented(array, header, name)


def volume_of_array(array: np.ndarray, affine: np.ndarray, name: str) -> Volume:
    """Return the volume that an array (X, Y, Z) is which lies as ``affine``, to mm, says.

    Raises:
        CaseError: If it is no volume of finite real numbers, or the affine says nonsense.
    """
    array, affine = np.asarray(array), np.asarray(affine, dtype=np.float64)
    if array.ndim != 3 or array.dtype.kind not in 'iuf' or affine.shape != (4, 4):
        raise CaseError(
            f'{name} must be real numbers of shape (X, Y, Z) with an affine (4, 4), got {array.dtype} '
            f'{array.shape} and {affine.shape}'
        )
    header = nib.Nifti1Image(np.broadcast_to(np.float32(0), array.shape), affine).header
    header['vox_offset'] = header.single_vox_offset  # as in a file
    _checked_shape(header, name)
    return _oriented(array, header, name)


def _oriented(array: np.ndarray, header: nib.Nifti1Header, name: str) -> Volume:
    """Check the values of a volume, in a file's orientation, and bring it to LPS."""
    if array.dtype.kind == 'f' and not np.isfinite(array).all():
        raise CaseError(
            f'{name} holds NaN or infinite values; if they are the background, make them a number, such as 0'
        )
    if array.dtype.itemsize > 4 and abs(array).max() > MAX_VALUE:
        raise CaseError(
            f'{name} holds a value of {abs(array).max():g}; at most {MAX_VALUE:g} can be computed with'
        )
    affine = _checked_affine(header, name)
    turn = ornt_transform(nib.io_orientation(affine), LPS)
    return Volume(
        name=name,
        array=apply_orientation(array, turn),
        affine=affine @ inv_ornt_aff(turn, array.shape),
        header=header,
        oblique=bool(nib.affines.obliquity(affine).max() > OBLIQUE),
    )


def parse_header(raw: bytes) -> nib.Nifti1Header:
    """Return the header that ``raw`` is, without nibabel's silent repairs."""
    return HEADERS[len(raw)](raw, check=False)


def to_source(array: np.ndarray, header: nib.Nifti1Header) -> np.ndarray:
    """Turn an LPS volume (X, Y, Z) into the orientation and shape of the file that ``header`` describes."""
    turn = ornt_transform(LPS, nib.io_orientation(header.get_best_affine()))
    return apply_orientation(array, turn).reshape(header.get_data_shape(), order='F')


@contextmanager
def _opened(path: Path) -> Iterator[tuple[io.BufferedIOBase, int]]:
    """Open a file as the bytes of a NIfTI; what goes wrong meanwhile is a :class:`CaseError`."""
    try:
        check_regular(path)
        size = path.stat().st_size
        with gzip.open(path) if path.name.lower().endswith('.gz') else path.open('rb') as file:
            yield file, size
    except CaseError:
        raise
    except UNREADABLE as error:
        reason: object = error
        if isinstance(error, MemoryError):
            reason = 'it needs more memory than there is'
        elif isinstance(error, gzip.BadGzipFile) and not _begins_with(path, GZIP):
            reason = (
                'it is not compressed, though its name says so: it may be a plain .nii, the pointer of Git '
                'LFS, or the page of a download that failed'
            )
        raise CaseError(f'{path.name} cannot be read: {reason}') from error


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open('rb') as file:
        return file.read(len(magic)) == magic


def check_regular(path: Path) -> None:
    """Raise CaseError unless ``path`` is a file: a pipe would be waited for, for ever."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CaseError(f'{path.name} cannot be read: {error.strerror or error}') from error
    if not stat.S_ISREG(mode):
        raise CaseError(f'{path.name} cannot be read: it is no regular file')


def _read_header(file: io.BufferedIOBase, name: str) -> nib.Nifti1Header:
    raw = file.read(540)
    sizes = (int.from_bytes(raw[:4], order) for order in ('little', 'big'))
    size = next((size for size in sizes if size in HEADERS and len(raw) >= size), None)
    if size is None:
        raise CaseError(f'{name} cannot be read: it does not begin with the header of a NIfTI file')
    header = parse_header(raw[:size])
    magic = header['magic'].item()
    if not magic.startswith((b'n+1', b'n+2')):
        raise CaseError(
            f'{name} cannot be read: its header is not that of a NIfTI file in one piece ({magic!r})'
        )
    return header


def _offset(header: nib.Nifti1Header) -> int:
    return int(header['vox_offset'])


def _checked_shape(header: nib.Nifti1Header, name: str) -> tuple[tuple[int, int, int], np.dtype]:
    if (unit := header.get_xyzt_units()[0]) in ('meter', 'micron'):
        raise CaseError(f'{name} counts in {unit}; millimetres are needed: correct its voxel sizes and units')
    if np.isinf(header['scl_slope']) or np.isinf(header['scl_inter']):
        raise CaseError(f'{name} cannot be read: its header scales intensities by infinity')
    shape = tuple(int(size) for size in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:  # one volume of a series of one
        shape = shape[:-1]
    if len(shape) != 3:
        raise CaseError(f'{name} has shape {shape}; a 3D volume is needed')
    if min(shape) < 1 or math.prod(shape) > MAX_VOXELS:
        raise CaseError(
            f'{name} has shape {shape}; a volume has at least 1 voxel an axis and at most {MAX_VOXELS} (512³)'
        )
    dtype = header.get_data_dtype()
    if dtype.kind not in 'iuf':
        raise CaseError(f'{name} holds values of type {dtype}; real numbers are needed')
    offset = float(header['vox_offset'])
    if not (header.sizeof_hdr <= offset <= MAX_OFFSET and offset == int(offset)):
        raise CaseError(f'{name} cannot be read: its header puts the voxels at byte {offset:g}')
    return shape, dtype


def _check_file_size(path: Path, file_size: int, total: int) -> None:
    """Compare a file's size with what its header asks for, before memory is spent."""
    compressed = path.name.lower().endswith('.gz')
    if compressed:
        fits = total <= MAX_RATIO * file_size and file_size <= total + total // 100 + (1 << 20)
    else:
        fits = total == file_size
    if not fits:
        raise CaseError(
            f'{path.name} cannot be read: it has {file_size} bytes, which cannot be the {total} that its '
            f'header names{" once decompressed" if path.name.endswith(".gz") else ""}'
        )


def _checked_affine(header: nib.Nifti1Header, name: str) -> np.ndarray:
    """Return the affine that the header means: its sform, else its qform."""
    try:
        sform, qform = (get(coded=True)[0] for get in (header.get_sform, header.get_qform))
    except UNREADABLE as error:
        raise CaseError(f'{name} says nonsense of how it lies: {error}') from error
    if sform is None and qform is None:
        raise CaseError(
            f'{name} does not say how it lies (sform_code and qform_code are 0); set one of them, so that '
            'left and right are known'
        )
    forms = {key: form for key, form in (('sform', sform), ('qform', qform)) if form is not None}
    for key, affine in forms.items():
        _check_affine(affine, f'{name} has an impossible {key}')
    if len(forms) == 2:
        codes = [''.join(nib.aff2axcodes(form)) for form in forms.values()]
        sizes = [nib.affines.voxel_sizes(form) for form in forms.values()]
        if codes[0] != codes[1] or not np.allclose(*sizes, rtol=SAME_SIZE, atol=0):
            shown = ' and '.join(
                f'{key} {code} with voxels of {_mm(size)}'
                for key, code, size in zip(forms, codes, sizes, strict=True)
            )
            raise CaseError(
                f'{name} contradicts itself in how it lies: {shown}; correct one or set its code to 0'
            )
    return forms.get('sform', qform)


def _check_affine(affine: np.ndarray, prefix: str) -> None:
    if not np.isfinite(affine).all():
        raise CaseError(f'{prefix}: it holds NaN or infinite values')
    sizes = nib.affines.voxel_sizes(affine)
    if sizes.min() < VOXEL_SIZES[0] or sizes.max() > VOXEL_SIZES[1]:
        raise CaseError(
            f'{prefix}: voxels of {_mm(sizes)}; an axis must be {VOXEL_SIZES[0]} to {VOXEL_SIZES[1]:g} mm'
        )
    if abs(np.linalg.det(affine[:3, :3])) < MIN_VOLUME * sizes.prod():
        raise CaseError(f'{prefix}: its axes lie nearly in a plane')
    if abs(affine[:3, 3]).max() > MAX_ORIGIN:
        raise CaseError(f'{prefix}: its first voxel lies {abs(affine[:3, 3]).max():g} mm away')


def _mm(sizes: np.ndarray) -> str:
    return ' × '.join(f'{size:g}' for size in sizes) + ' mm'
