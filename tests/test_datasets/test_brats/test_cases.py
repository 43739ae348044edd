import nibabel as nib
import numpy as np
import pytest

from mmcggm.datasets.brats.case_volumes import read_case
from mmcggm.datasets.brats.cases import MODALITIES, find_cases
from mmcggm.datasets.brats.label_conventions import DEFAULTS
from mmcggm.datasets.brats.patients import patient_of
from tests.synthetic import write_synthetic_case


@pytest.mark.parametrize('naming', ['2021', '2023'])
@pytest.mark.parametrize('extension', ['.nii.gz', '.nii', '.NII.GZ', '.NII'])
def test_a_case_is_found_and_read_in_each_naming(tmp_path, naming, extension):
    files = write_synthetic_case(tmp_path / 'deep' / 'er', 'Case-1', naming, extension=extension)
    found = find_cases(tmp_path)
    (case,) = found.cases
    assert (case.case, case.naming, case.files) == ('Case-1', naming, files)
    assert not found.bad and not found.notes

    volumes = read_case(case, DEFAULTS[naming])
    for modality, volume in zip(MODALITIES, volumes.image, strict=True):
        on_disk = nib.load(files[modality]).get_fdata()
        np.testing.assert_array_equal(volume, np.moveaxis(on_disk, 2, 0))
    seg = np.moveaxis(np.asarray(nib.load(files['seg']).dataobj), 2, 0)
    np.testing.assert_array_equal(volumes.seg, np.where(seg == 4, 3, seg))
    assert set(np.unique(volumes.seg)) == {0, 1, 2, 3}


COLLECTIONS = {
    'UPENN-GBM-00001_11': dict(flair='FLAIR', t1ce='T1GD', t1='T1', t2='T2', seg='segm'),
    'UCSF-PDGM-0429_FU003d': dict(flair='FLAIR', t1ce='T1c', t1='T1', t2='T2', seg='tumor_segmentation'),
    'BraTS-MEN-RT-0001-1': dict(t1ce='t1c', seg='gtv'),
}


@pytest.mark.parametrize('case', COLLECTIONS)
def test_a_case_is_found_by_the_words_of_its_collection(tmp_path, case):
    words = {tmp_path / f'{case}_{word}.nii.gz': name for name, word in COLLECTIONS[case].items()}
    for path in words:
        path.touch()
    others = ('automated_approx_segm', 'T1_bias', 'brain_segmentation', 'T1GD_unstripped')
    for other in others:
        (tmp_path / f'{case}_{other}.nii.gz').touch()
    found = find_cases(tmp_path, allow_missing=True)
    (only,) = found.cases
    assert (only.case, only.naming) == (case, '2021')
    assert {path: name for name, path in only.files.items()} == words
    assert not found.bad
    (note,) = found.notes
    assert note.startswith(f'Left out {len(others)} files')
    assert patient_of(case) == case.partition('_')[0].removesuffix('-1')


def test_files_of_other_names_are_shown_where_there_is_no_case(tmp_path):
    (tmp_path / 'imagesTr').mkdir()
    (tmp_path / 'imagesTr' / 'BRATS_001.nii.gz').touch()
    with pytest.raises(FileNotFoundError, match=r'1 file of .* otherwise, e\.g\. .*BRATS_001.*a file a seq'):
        find_cases(tmp_path)


def test_spacing_follows_the_axes_of_the_volume(tmp_path):
    write_synthetic_case(tmp_path, 'a', affine=np.diag([1.5, 2.0, 3.0, 1.0]))
    (case,) = find_cases(tmp_path).cases
    assert read_case(case, DEFAULTS['2021']).spacing == pytest.approx((3.0, 1.5, 2.0))


def test_hidden_files_are_left_out_and_foreign_ones_named(tmp_path):
    write_synthetic_case(tmp_path, 'a')
    write_synthetic_case(tmp_path / '.partial', 'b')
    (tmp_path / 'a' / '._a_t1.nii.gz').touch()
    (tmp_path / 'a' / 'a_adc.nii.gz').touch()
    found = find_cases(tmp_path)
    assert [case.case for case in found.cases] == ['a']
    assert not found.bad
    (note,) = found.notes
    assert note.startswith('Left out 1 files of volumes') and str(tmp_path / 'a' / 'a_adc.nii.gz') in note


@pytest.mark.parametrize('exists', [True, False])
def test_a_source_without_cases_says_which_names_are_expected(tmp_path, exists):
    source = tmp_path if exists else tmp_path / 'nowhere'
    with pytest.raises(FileNotFoundError, match=r'(?s)_flair.*-t2f') as error:
        find_cases(source)
    assert str(source) in str(error.value)


def test_an_id_that_no_file_system_takes_is_a_bad_case(tmp_path):
    write_synthetic_case(tmp_path, 'a')
    long = 'b' * 201
    (tmp_path / f'{long}_t1.nii.gz').touch()
    found = find_cases(tmp_path)
    assert [case.case for case in found.cases] == ['a']
    assert found.bad == {long: 'its id is longer than 200 bytes, which file systems cannot take'}
