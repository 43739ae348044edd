import nibabel as nib
import numpy as np
import pytest

from mmcggm.datasets.brats.label_conventions import get_convention
from mmcggm.evaluation.brats.label_files import labels_on_disk, read_labels


@pytest.mark.parametrize(('convention', 'et_label'), [('gli2021', 4), ('gli2023', 3)])
def test_labels_are_read_in_their_convention_and_in_one_orientation(tmp_path, convention, et_label):
    array = np.zeros((4, 5, 6), dtype=np.int16)
    array[1, 2, 3] = et_label
    nib.save(nib.Nifti1Image(array, np.diag([-1, -1, 1, 1])), tmp_path / 'a.nii.gz')
    nib.save(nib.Nifti1Image(array[::-1, ::-1], np.eye(4)), tmp_path / 'b.nii.gz')
    for name in 'ab':
        volume = read_labels(tmp_path / f'{name}.nii.gz', get_convention(convention))
        assert volume.array.shape == (6, 4, 5) and volume.array.dtype == np.uint8
        assert volume.array[3, 1, 2] == 3 and np.count_nonzero(volume.array) == 1
    assert labels_on_disk([tmp_path / 'a.nii.gz']) == {'a.nii.gz': [0, et_label]}


def test_a_label_of_another_convention_is_named(tmp_path):
    nib.save(nib.Nifti1Image(np.full((2, 2, 2), 4, dtype=np.uint8), np.eye(4)), tmp_path / 'a.nii.gz')
    with pytest.raises(ValueError, match=r'a\.nii\.gz holds labels \[4\]; those of gli2023 are'):
        read_labels(tmp_path / 'a.nii.gz', get_convention('gli2023'))
