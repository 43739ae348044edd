import nibabel as nib
import numpy as np
import pytest

from mmcggm.evaluation.brats.label_files import read_labels


@pytest.mark.parametrize('et_label', [3, 4])
def test_both_conventions_and_axes(tmp_path, et_label):
    array = np.zeros((4, 5, 6), dtype=np.int16)
    array[1, 2, 3] = et_label
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / 'a.nii.gz')
    labels, image = read_labels(tmp_path / 'a.nii.gz')
    assert labels.shape == (6, 4, 5) and labels.dtype == np.uint8
    assert labels[3, 1, 2] == 3 and np.count_nonzero(labels) == 1
    assert image.shape == (4, 5, 6)


def test_unknown_label(tmp_path):
    nib.save(nib.Nifti1Image(np.full((2, 2, 2), 7, dtype=np.uint8), np.eye(4)), tmp_path / 'a.nii.gz')
    with pytest.raises(ValueError, match=r'a\.nii\.gz holds labels \[7\]'):
        read_labels(tmp_path / 'a.nii.gz')
