import nibabel as nib
import numpy as np
import pytest

from mmcggm.datasets.brats.cases import MODALITIES, find_cases, read_case
from tests.synthetic import write_synthetic_case


@pytest.mark.parametrize('naming', ['2021', '2023'])
@pytest.mark.parametrize('extension', ['.nii.gz', '.nii'])
def test_a_case_is_found_and_read_in_each_naming(tmp_path, naming, extension):
    files = write_synthetic_case(tmp_path / 'deep' / 'er', 'Case-1', naming, extension=extension)
    (case,), bad, unexplained = find_cases(tmp_path)
    assert (case.case, case.naming, case.files, bad, unexplained) == ('Case-1', naming, files, {}, [])

    volumes = read_case(case)
    for modality, volume in zip(MODALITIES, volumes.image, strict=True):
        on_disk = nib.load(files[modality]).get_fdata()
        np.testing.assert_array_equal(volume, np.moveaxis(on_disk, 2, 0))
    seg = np.moveaxis(np.asarray(nib.load(files['seg']).dataobj), 2, 0)
    np.testing.assert_array_equal(volumes.seg, np.where(seg == 4, 3, seg))
    assert set(np.unique(volumes.seg)) == {0, 1, 2, 3}
    assert volumes.et_label == (4 if naming == '2021' else 3)


def test_the_label_of_et_is_the_segmentations_own_else_the_namings(tmp_path):
    files = write_synthetic_case(tmp_path, 'a', '2023')
    seg = nib.load(files['seg'])
    array = np.asarray(seg.dataobj)
    nib.save(
        nib.Nifti1Image(np.where(array == 3, 4, array).astype(np.uint8), seg.affine, seg.header), files['seg']
    )
    write_synthetic_case(tmp_path, 'b', '2021', et=False)
    write_synthetic_case(tmp_path, 'c', '2023', with_seg=False)
    cases, _, _ = find_cases(tmp_path)
    assert [read_case(case).et_label for case in cases] == [4, 4, 3]


def test_spacing_follows_the_axes_of_the_volume(tmp_path):
    write_synthetic_case(tmp_path, 'a', affine=np.diag([1.5, 2.0, 3.0, 1.0]))
    (case,), _, _ = find_cases(tmp_path)
    assert read_case(case).spacing == pytest.approx((3.0, 1.5, 2.0))


def test_hidden_files_are_left_out_and_foreign_ones_named(tmp_path):
    write_synthetic_case(tmp_path, 'a')
    write_synthetic_case(tmp_path / '.partial', 'b')
    (tmp_path / 'a' / '._a_t1.nii.gz').touch()
    (tmp_path / 'a' / 'a_adc.nii.gz').touch()
    cases, bad, unexplained = find_cases(tmp_path)
    assert [case.case for case in cases] == ['a']
    assert not bad
    assert unexplained == [str(tmp_path / 'a' / 'a_adc.nii.gz')]


@pytest.mark.parametrize('exists', [True, False])
def test_a_source_without_cases_says_which_names_are_expected(tmp_path, exists):
    source = tmp_path if exists else tmp_path / 'nowhere'
    with pytest.raises(FileNotFoundError, match=r'(?s)_flair.*-t2f') as error:
        find_cases(source)
    assert str(source) in str(error.value)
