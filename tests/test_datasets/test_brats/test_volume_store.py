import os

import h5py
import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcggm.datasets.brats.cases import MODALITIES
from mmcggm.datasets.brats.converter import convert_folder
from mmcggm.datasets.brats.volume_store import StoredCase, case_path, write_case
from tests.synthetic import write_synthetic_case

HEADER = nib.Nifti1Header().binaryblock
CASES = ['BraTS2021_00001', 'BraTS2021_00002', 'BraTS-GLI-00003-000', 'BraTS-GLI-00004-000']
modality_choices = st.permutations(MODALITIES).flatmap(
    lambda order: st.integers(1, len(order)).map(lambda size: order[:size])
)


def write_random_case(path, modalities, shape=(4, 6, 5), seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(len(modalities), *shape)).astype(np.float32)
    seg = rng.integers(0, 4, size=shape).astype(np.uint8)
    options = (
        dict(modalities=modalities, spacing=(1, 1, 1), header=HEADER, labels='gli2023', source=[]) | kwargs
    )
    write_case(path, image, seg, **options)
    return image, seg


@st.composite
def boxes(draw, shape):
    bounds = [sorted(draw(st.sets(st.integers(0, size), min_size=2, max_size=2))) for size in shape]
    return tuple((low, high) for low, high in bounds)


@settings(max_examples=40)
@given(data=st.data(), name=st.sampled_from(CASES), modalities=modality_choices)
def test_slices_boxes_and_the_volume_agree(brats_store, data, name, modalities):
    case = StoredCase(case_path(brats_store, name))
    volume, seg = case.read_volume(MODALITIES)
    channels = [MODALITIES.index(modality) for modality in modalities]

    z = data.draw(st.integers(-case.shape[0], case.shape[0] - 1))
    image, labels = case.read_slice(z, modalities)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, volume[channels, z])

    box = data.draw(boxes(case.shape))
    inside = tuple(slice(*bounds) for bounds in box)
    part, part_seg = case.read_volume(modalities, box)
    np.testing.assert_array_equal(part, volume[channels][(slice(None), *inside)])
    if case.has_seg:
        np.testing.assert_array_equal(labels, seg[z])
        np.testing.assert_array_equal(part_seg, seg[inside])
    else:
        assert labels is None and part_seg is None and seg is None


@pytest.fixture(scope='module')
def blocks(tmp_path_factory):
    """A case of several blocks, some of them empty; and the same as earlier versions kept it, by slices."""
    folder = tmp_path_factory.mktemp('blocks')
    image = np.random.default_rng(0).normal(size=(4, 12, 110, 130)).astype(np.float32)
    image[:, 3:9, :60, :70] = 0
    seg = np.zeros(image.shape[1:], np.uint8)
    seg[9:, 100:, 60:70] = 3
    facts = dict(modalities=MODALITIES, spacing=(1, 1, 1), header=HEADER, labels='gli2023', source=[])
    write_case(folder / 'a.h5', image, seg, **facts)
    with h5py.File(folder / 'a.h5') as new, h5py.File(folder / 'b.h5', 'w', libver=('v110', 'v110')) as old:
        assert [new[name].id.get_num_chunks() for name in ('image', 'seg')] == [11, 2]  # of 12 and of 8
        for name in ('image', 'seg'):
            by_slices = dict(chunks=(1, *new[name].shape[1:]), compression='lzf', fletcher32=True)
            old.create_dataset(name, data=new[name][:], **by_slices)
        old.attrs.update(new.attrs)
    return image, seg, folder / 'a.h5', folder / 'b.h5'


@settings(max_examples=40)
@given(data=st.data(), modalities=modality_choices)
def test_boxes_across_blocks_are_parts_of_the_volume_also_in_older_files(blocks, data, modalities):
    image, seg, *paths = blocks
    box = data.draw(boxes(seg.shape))
    inside = tuple(slice(*bounds) for bounds in box)
    expected = image[(slice(None), *inside)].astype(np.float16)[[MODALITIES.index(m) for m in modalities]]
    for path in paths:
        part, labels = StoredCase(path).read_volume(modalities, box)
        np.testing.assert_array_equal(part, expected)
        np.testing.assert_array_equal(labels, seg[inside])


def test_a_slice_beyond_the_volume_is_an_error(brats_store):
    case = StoredCase(case_path(brats_store, CASES[0]))
    with pytest.raises(IndexError):
        case.read_slice(case.shape[0], MODALITIES)


def test_attributes_describe_the_case(brats_store):
    case = StoredCase(case_path(brats_store, CASES[0]))
    volume, seg = case.read_volume(MODALITIES)
    (d0, d1), (h0, h1), (w0, w1) = case.brain_box
    assert case.shape == volume.shape[1:] == (24, 32, 40)
    assert case.tumour_slices.tolist() == [z for z in range(case.shape[0]) if seg[z].any()]
    outside = volume.copy()
    outside[:, d0:d1, h0:h1, w0:w1] = 0
    assert not outside.any()
    for face in (volume[:, d0], volume[:, d1 - 1], volume[:, :, h0], volume[..., w0], volume[..., w1 - 1]):
        assert face.any()
    unlabelled = StoredCase(case_path(brats_store, CASES[3]))
    assert not unlabelled.has_seg and unlabelled.tumour_slices.size == 0


def test_any_number_of_modalities_is_stored(tmp_path):
    names = [f'm{index}' for index in range(6)]
    image, seg = write_random_case(tmp_path / 'case.h5', names)
    read, read_seg = StoredCase(tmp_path / 'case.h5').read_volume(names)
    np.testing.assert_allclose(read, image, rtol=2**-10)
    np.testing.assert_array_equal(read_seg, seg)


@pytest.mark.parametrize('naming', ['2021', '2023'])
@pytest.mark.parametrize('out_extension', ['.nii', '.nii.gz'])
@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(et=False),
        dict(seg_dtype=np.int16, extension='.nii'),
        dict(seg_dtype=np.float32),
        dict(seg_dtype=np.int64),
        dict(affine=np.array([[0.9, 0.2, 0, 5], [-0.2, 1.1, 0.1, -7], [0, -0.1, 2, 11], [0, 0, 0, 1]])),
    ],
    ids=['plain', 'no ET', 'int16', 'float32', 'int64', 'oblique'],
)
def test_the_sources_segmentation_is_written_as_it_was(tmp_path, naming, out_extension, options):
    files = write_synthetic_case(tmp_path / 'source', 'a', naming, **options)
    convert_folder(tmp_path / 'source', tmp_path / 'store')
    case = StoredCase(case_path(tmp_path / 'store', 'a'))
    out = tmp_path / f'out{out_extension}'
    case.write_nifti(case.read_seg(), out)

    expected, written = nib.load(files['seg']), nib.load(out)
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(expected.dataobj))
    np.testing.assert_array_equal(written.affine, expected.affine)
    assert written.header.binaryblock == expected.header.binaryblock
    assert written.get_data_dtype() == expected.get_data_dtype()
    assert [path.name for path in tmp_path.glob('*out*')] == [out.name]


@pytest.mark.parametrize(('name', 'convention', 'et_label'), [
    ('BraTS-GLI-00004-000', None, 3),
    ('BraTS-GLI-00004-000', '2021', 4),
    ('BraTS2021_00001', '2023', 3),
])  # fmt: skip
def test_labels_without_a_source_follow_naming_or_convention(
    brats_store, tmp_path, name, convention, et_label
):
    case = StoredCase(case_path(brats_store, name))
    labels = np.random.default_rng(0).integers(0, 4, size=case.shape).astype(np.uint8)
    case.write_nifti(labels, tmp_path / 'out.nii.gz', convention=convention)
    written = nib.load(tmp_path / 'out.nii.gz')
    assert written.get_data_dtype() == np.uint8
    expected = np.moveaxis(np.where(labels == 3, et_label, labels), 0, 2)
    np.testing.assert_array_equal(np.asarray(written.dataobj), expected)


@pytest.mark.parametrize(
    ('labels', 'name', 'message'),
    [
        (np.zeros((24, 32, 39), np.uint8), 'out.nii', r'\(24, 32, 39\)'),
        (np.full((24, 32, 40), 4, np.uint8), 'out.nii', r'\[4\]'),
        (np.full((24, 32, 40), 0.5), 'out.nii', r'\[0.5\]'),
        (np.zeros((24, 32, 40), np.uint8), 'out.mha', r'\.nii'),
    ],
)
def test_wrong_labels_are_not_written(brats_store, tmp_path, labels, name, message):
    with pytest.raises(ValueError, match=message):
        StoredCase(case_path(brats_store, CASES[0])).write_nifti(labels, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_modality_that_is_not_stored_names_the_config_key(brats_store):
    with pytest.raises(ValueError, match=r"\['pet'\].*`modalities`"):
        StoredCase(case_path(brats_store, CASES[0])).read_slice(0, ['flair', 'pet'])


@pytest.mark.parametrize('image', [np.zeros((1, 2, 3, 4)), np.full((1, 2, 3, 4), 1e6), np.ones((2, 2, 3, 4))])
def test_what_cannot_be_stored_leaves_nothing(tmp_path, image):
    with pytest.raises(ValueError, match=r'case\.h5'):
        write_case(
            tmp_path / 'case.h5',
            image,
            None,
            modalities=['a'],
            spacing=(1, 1, 1),
            header=HEADER,
            labels='gli2023',
            source=[],
        )
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / 'case.h5'
    image, _ = write_random_case(path, ['a'])

    def fail(*args, **kwargs):
        raise OSError('No space left on device')

    monkeypatch.setattr(h5py.Group, 'create_dataset', fail)
    with pytest.raises(OSError, match='No space'):
        write_random_case(path, ['a'], seed=1)
    assert os.listdir(tmp_path) == ['case.h5']
    np.testing.assert_allclose(StoredCase(path).read_volume(['a'])[0], image, rtol=2**-10)


def test_a_rewritten_case_is_read_anew(tmp_path):
    path = tmp_path / 'case.h5'
    write_random_case(path, ['a'], shape=(4, 6, 5))
    assert StoredCase(path).shape == (4, 6, 5)
    write_random_case(path, ['a'], shape=(3, 7, 2))
    assert StoredCase(path).shape == (3, 7, 2)


def test_what_is_no_case_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.h5'):
        StoredCase(tmp_path / 'none.h5')
    (tmp_path / 'junk.h5').write_bytes(b'junk')
    with pytest.raises(OSError, match=r'junk\.h5 cannot be read.*Convert it again'):
        StoredCase(tmp_path / 'junk.h5')
    h5py.File(tmp_path / 'foreign.h5', 'w').close()
    with pytest.raises(ValueError, match=r'foreign\.h5 is not a case'):
        StoredCase(tmp_path / 'foreign.h5')


def test_what_was_damaged_since_is_an_error_that_names_the_file(brats_store, tmp_path):
    """Whatever byte is changed: it is refused, or what is read is the same."""
    content = case_path(brats_store, CASES[0]).read_bytes()
    path = tmp_path / f'{CASES[0]}.h5'

    def read():
        case = StoredCase(path)
        image, seg = case.read_volume(MODALITIES)
        facts = case.spacing, case.brain_box, case.tumour_slices.tolist(), case.convention.name, case.source
        return image.tobytes(), seg.tobytes(), case.header.binaryblock, facts

    path.write_bytes(content)
    expected, refused = read(), 0
    rng = np.random.default_rng(0)
    for number in range(300):
        damaged = bytearray(content)
        place = int(rng.integers(len(content) if number % 2 else 4000))
        length = 1 + 15 * (number % 3)
        damaged[place : place + length] = rng.bytes(len(damaged[place : place + length]))
        path.write_bytes(damaged if number % 10 else content[:place])
        os.utime(path, ns=(number, number))
        try:
            found = read()
        except (OSError, ValueError) as error:
            refused += str(path) in str(error) and 'convert brats' in str(error)
        else:
            assert found == expected
            refused += 1
    assert refused == 300


def test_zeros_that_were_set_to_ones_are_an_error_although_the_checksum_is_the_same(blocks, tmp_path):
    path = tmp_path / 'a.h5'
    for name, place in (('image', (0, 0, 0, 0)), ('seg', (6, 55, 0))):
        with h5py.File(blocks[2]) as file:
            chunk = file[name].id.get_chunk_info_by_coord(place)
        content = bytearray(blocks[2].read_bytes())
        start = content.find(bytes(64), chunk.byte_offset, chunk.byte_offset + chunk.size)
        start += 8 + (start - chunk.byte_offset) % 2  # the checksum is of pairs of bytes
        content[start : start + 2] = b'\xff\xff'
        path.write_bytes(content)
        with h5py.File(path) as file:
            file[name][:]  # HDF5 sees nothing
        with pytest.raises(OSError, match=f"a.h5 cannot be read .'{name}' is damaged"):
            StoredCase(path).read_volume(MODALITIES)


def test_a_case_of_an_older_format_says_to_convert_again(tmp_path):
    with h5py.File(tmp_path / 'old.h5', 'w') as file:
        file.attrs['meta'] = '{"format": 1}'
    with pytest.raises(
        ValueError, match=r'old\.h5 is not a case of the store in format 2\. Convert it again'
    ):
        StoredCase(tmp_path / 'old.h5')


@pytest.mark.parametrize('case', ['', '.', '..', '../a', 'a/b', '/a', 'a\\b', '.a', 'a\n', 'a\udcff', 'a\0'])
def test_a_case_cannot_name_a_path_elsewhere(tmp_path, case):
    with pytest.raises(ValueError, match='cannot be the id of a case'):
        case_path(tmp_path, case)


def test_predictions_of_other_classes_are_not_written(tmp_path):
    write_random_case(tmp_path / 'a.h5', ['a'], labels='gli2024')
    case = StoredCase(tmp_path / 'a.h5')
    labels = np.full(case.shape, 4, np.uint8)
    header = nib.Nifti1Image(np.zeros((6, 5, 4), np.uint8), np.diag([-1, -1, 1, 1])).header
    write_random_case(tmp_path / 'a.h5', ['a'], labels='gli2024', header=header.binaryblock)
    case.write_nifti(labels, tmp_path / 'a.nii.gz', 'met2025')
    assert np.unique(nib.load(tmp_path / 'a.nii.gz').dataobj).tolist() == [4]
    with pytest.raises(ValueError, match=r'case a has the classes of gli2024, .* which gli2023 cannot write'):
        case.write_nifti(labels, tmp_path / 'b.nii.gz', '2023')
    assert not (tmp_path / 'b.nii.gz').exists()
