import gzip
import os
import re
import threading
import zlib

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from mmcggm.datasets.brats.nifti import CaseError, read_nifti, to_source

AFFINE = np.array([[-1.0, 0, 0, 5], [0, -1.5, 0, 39], [0, 0, 2, -3], [0, 0, 0, 1]])
ARRAY = np.random.default_rng(0).integers(0, 900, size=(6, 7, 5)).astype(np.int16)


def save(path, array=ARRAY, affine=AFFINE, change=lambda header: None):
    """Write a file whose header is changed as nibabel itself would not."""
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    image.set_qform(affine, code=1)
    content = bytearray(image.to_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    change(header)
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(content) if path.name.lower().endswith('.gz') else bytes(content))
    return path


def setter(**fields):
    def change(header):
        for key, value in fields.items():
            header[key] = value

    return change


def size(*dim):
    return setter(dim=[len(dim), *dim, *[1] * (7 - len(dim))])


@pytest.mark.parametrize('name', ['a.nii', 'a.nii.gz'])
@pytest.mark.parametrize('codes', ['LPS', 'RAS', 'LIA', 'PSR', 'SAL'])
def test_any_orientation_becomes_one_and_goes_back(tmp_path, codes, name):
    image = nib.Nifti1Image(ARRAY, AFFINE)
    turned = image.as_reoriented(ornt_transform(io_orientation(AFFINE), axcodes2ornt(codes)))
    nib.save(turned, tmp_path / name)
    volume = read_nifti(tmp_path / name)
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.affine, AFFINE)
    np.testing.assert_array_equal(to_source(volume.array, volume.header), np.asarray(turned.dataobj))


def test_an_oblique_volume_is_stored_along_its_closest_axes(tmp_path):
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = AFFINE.copy()
    affine[:3, :3] = turn @ AFFINE[:3, :3]
    volume = read_nifti(save(tmp_path / 'a.nii', affine=affine))
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.oblique and not read_nifti(save(tmp_path / 'b.nii')).oblique


def test_a_series_of_one_volume_is_that_volume(tmp_path):
    path = save(tmp_path / 'a.nii', array=ARRAY[..., None])
    volume = read_nifti(path)
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert to_source(volume.array, volume.header).shape == (*ARRAY.shape, 1)


def test_scaling_and_the_other_byte_order_are_followed(tmp_path):
    header = nib.Nifti1Header(endianness='>')
    image = nib.Nifti1Image(ARRAY, AFFINE, header)
    image.header.set_slope_inter(2, 7)
    nib.save(image, tmp_path / 'a.nii.gz')
    expected = nib.load(tmp_path / 'a.nii.gz').get_fdata()
    np.testing.assert_allclose(read_nifti(tmp_path / 'a.nii.gz').array, expected)


NAN = np.nan
BAD_HEADERS = {
    'no form': (setter(sform_code=0, qform_code=0), r'does not say how it lies'),
    'no form, no voxel size': (setter(sform_code=0, qform_code=0, pixdim=0), r'does not say how it lies'),
    'sform of zeros': (
        setter(srow_x=0, srow_y=0, srow_z=0, qform_code=0),
        r'impossible sform: voxels of 0 × 0 × 0',
    ),
    'qform without size': (setter(sform_code=0, pixdim=[1, 0, 1, 1, 0, 0, 0, 0]), r'lies|qform'),
    'no thickness': (
        setter(srow_x=[-1, 0, 0, 0], srow_z=[0, 0, 0, 3], qform_code=0),
        r'voxels of 1 × 1.5 × 0 mm',
    ),
    'a plane': (setter(srow_z=[-1, 0, 0, 0], qform_code=0), r'voxels of'),
    'skewed': (setter(srow_x=[1, 1, 0, 0], srow_y=[0, 0.1, 0, 0], qform_code=0), r'nearly in a plane'),
    'NaN': (setter(srow_x=NAN, qform_code=0), r'impossible sform: it holds NaN'),
    'infinite': (setter(srow_x=np.inf, qform_code=0), r'impossible sform: it holds NaN or infinite'),
    'NaN in the qform': (setter(sform_code=0, quatern_b=NAN), r'lies|qform'),
    'metres': (
        setter(srow_x=[-1e-3, 0, 0, 0], srow_y=[0, -1e-3, 0, 0], srow_z=[0, 0, 1e-3, 0], qform_code=0),
        'mm',
    ),
    'microns': (
        setter(srow_x=[-1e3, 0, 0, 0], srow_y=[0, -1e3, 0, 0], srow_z=[0, 0, 1e3, 0], qform_code=0),
        '1000',
    ),
    'far away': (setter(srow_x=[-1, 0, 0, 1e6], qform_code=0), r'lies 1e\+06 mm away'),
    'mirrored': (setter(srow_x=[1, 0, 0, 0]), r'contradicts itself.*sform RPS.*qform LPS'),
    'two sizes': (setter(srow_z=[0, 0, 3, 0]), r'contradicts itself.*× 3 mm.*× 2 mm'),
    'huge': (size(30000, 30000, 30000), r'shape \(30000, 30000, 30000\)'),
    'too large': (size(1000, 1000, 500), r'at most 134217728'),
    'negative': (size(-6, 7, 5), r'shape \(-6, 7, 5\)'),
    'empty': (size(6, 7, 0), r'shape \(6, 7, 0\)'),
    '2D': (size(6, 35), r'shape \(6, 35\)'),
    'no dimensions': (setter(dim=[0] * 8), r'a 3D volume is needed'),
    'larger than its file': (size(60, 70, 50), r'420352'),
    'smaller than its file': (size(6, 7, 4), r'the 688'),
    'unknown type': (setter(datatype=999), r'cannot be read'),
    'RGB': (setter(datatype=128, bitpix=24), r'real numbers are needed'),
    'offset in the header': (setter(vox_offset=4), r'voxels at byte 4'),
    'offset of NaN': (setter(vox_offset=NAN), r'voxels at byte nan'),
    'offset beyond': (setter(vox_offset=1e12), r'voxels at byte 1e\+12'),
    'two files': (setter(magic=b'ni1'), r'one piece'),
    'no magic': (setter(magic=b''), r'one piece'),
    'units of metres': (setter(xyzt_units=1), r'counts in meter'),
    'units of microns': (setter(xyzt_units=3), r'counts in micron'),
    'slope of infinity': (setter(scl_slope=np.inf), r'scales intensities by infinity'),
    'intercept of infinity': (setter(scl_slope=2, scl_inter=-np.inf), r'scales intensities by infinity'),
    'intercept of NaN': (setter(scl_slope=2, scl_inter=NAN), r'cannot be read'),
}


@pytest.mark.parametrize('name', ['a.nii', 'a.nii.gz', 'a.NII.GZ'])
@pytest.mark.parametrize('kind', BAD_HEADERS)
def test_a_header_of_nonsense_is_refused_by_name(tmp_path, kind, name):
    change, reason = BAD_HEADERS[kind]
    with pytest.raises(CaseError, match=f'^{re.escape(name)} .*({reason})'):
        read_nifti(save(tmp_path / name, change=change))


def test_a_position_that_the_two_forms_tell_apart_is_the_sforms(tmp_path):
    path = save(tmp_path / 'a.nii', change=setter(qoffset_x=80))
    np.testing.assert_allclose(read_nifti(path).affine, AFFINE)


def test_every_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    content = save(tmp_path / 'a.nii.gz').read_bytes()
    path = tmp_path / 'b.nii.gz'
    kept = []
    for bit in range(0, 8 * len(content), 7):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            np.testing.assert_array_equal(read_nifti(path).array, ARRAY)
        except CaseError:
            continue
        kept.append(bit // 8)
    assert max(kept, default=0) < 10  # time and system in the head of the gzip file


ENDINGS = {
    'garbage': (lambda content: content + b'garbage', None),
    'zeros': (lambda content: content + bytes(100), True),
    'another member': (lambda content: content + gzip.compress(b'x'), None),
    'an empty member': (lambda content: content + gzip.compress(b''), True),
    'two members': (
        lambda content: (
            gzip.compress(gzip.decompress(content)[:200]) + gzip.compress(gzip.decompress(content)[200:])
        ),
        True,
    ),
    'no checksum': (lambda content: content[:-8], None),
    'half a checksum': (lambda content: content[:-3], None),
    'nothing': (lambda content: b'', None),
    'a head': (lambda content: content[:10], None),
}


@pytest.mark.parametrize('kind', ENDINGS)
def test_a_compressed_file_is_read_to_its_end(tmp_path, kind):
    change, good = ENDINGS[kind]
    path = save(tmp_path / 'a.nii.gz')
    path.write_bytes(change(path.read_bytes()))
    if good:
        np.testing.assert_array_equal(read_nifti(path).array, ARRAY)
    else:
        with pytest.raises(CaseError, match=r'a\.nii\.gz cannot be read'):
            read_nifti(path)


@pytest.mark.parametrize(
    'content', [b'version https://git-lfs.github.com/spec/v1', b'<html>', b'\x5c\x01\0\0']
)
def test_a_file_that_only_its_name_says_is_compressed_is_told(tmp_path, content):
    (tmp_path / 'a.nii.gz').write_bytes(content)
    with pytest.raises(CaseError, match=r'a\.nii\.gz cannot be read: it is not compressed.*Git LFS'):
        read_nifti(tmp_path / 'a.nii.gz')
    path = save(tmp_path / 'b.nii.gz')
    path.write_bytes(path.read_bytes() + b'x')  # more than a whole member
    with pytest.raises(CaseError) as error:
        read_nifti(path)
    assert 'LFS' not in str(error.value)


@pytest.mark.parametrize('change', [lambda content: content + b'x', lambda content: content[:-1]])
def test_a_plain_file_has_the_size_that_its_header_names(tmp_path, change):
    path = save(tmp_path / 'a.nii')
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CaseError, match=r'a\.nii cannot be read: it has 7\d\d bytes'):
        read_nifti(path)


def test_a_bomb_costs_no_more_than_its_header_names(tmp_path):
    """A gigabyte of zeros behind a small volume, in a megabyte; and a header that names what is not there."""
    import tracemalloc

    head = gzip.decompress(save(tmp_path / 'a.nii.gz').read_bytes())
    packer = zlib.compressobj(9, wbits=31)
    content = packer.compress(head)
    for _ in range(256):
        content += packer.compress(bytes(1 << 22))
    (tmp_path / 'bomb.nii.gz').write_bytes(content + packer.flush())
    huge = save(tmp_path / 'huge.nii.gz', change=size(512, 512, 512))
    tracemalloc.start()
    for path in (tmp_path / 'bomb.nii.gz', huge):
        with pytest.raises(CaseError, match=rf'{path.name} cannot be read'):
            read_nifti(path)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@pytest.mark.parametrize('name', ['a.nii', 'a.nii.gz'])
def test_what_is_no_file_is_not_waited_for(tmp_path, name):
    (tmp_path / 'folder').mkdir()
    for path in (tmp_path / name, tmp_path / 'folder'):
        if path.name == name:
            os.mkfifo(path)
        raised = []

        def read(path=path, raised=raised):
            with pytest.raises(CaseError, match='no regular file') as error:
                read_nifti(path)
            raised.append(error)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(60)
        assert raised


@pytest.mark.parametrize(
    ('value', 'message'),
    [(NAN, 'NaN'), (-np.inf, 'infinite'), (1e300, r'1e\+300')],
    ids=['NaN', 'inf', 'vast'],
)
def test_numbers_that_cannot_be_computed_with_are_refused(tmp_path, value, message):
    array = ARRAY.astype(np.float64)
    array[0, 0, 0] = value
    with pytest.raises(CaseError, match=rf'a\.nii holds .*{message}'):
        read_nifti(save(tmp_path / 'a.nii', array=array))
