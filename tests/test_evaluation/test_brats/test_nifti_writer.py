import nibabel as nib
import numpy as np
import pytest

from mmcggm.datasets.brats.volume_store import write_case
from mmcggm.evaluation import NiftiWriter
from mmcggm.registry import METRICS
from tests.test_evaluation.test_brats.samples import cube, make_sample

pytest.importorskip('h5py')
AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


@pytest.fixture
def sample(tmp_path):
    """A case of BraTS 2021 without segmentation, with its prediction."""
    labels = cube(3, (1, 2, 3), side=2, shape=(6, 7, 8))
    header = nib.Nifti1Image(np.moveaxis(labels, 0, 2), AFFINE).header
    path = tmp_path / 'case-1.h5'
    write_case(
        path,
        np.ones((1, *labels.shape), dtype=np.float32),
        None,
        modalities=['flair'],
        spacing=(2, 1, 1),
        header=header.binaryblock,
        labels='gli2021',
        source=[],
    )
    return make_sample('case-1', labels, case_path=str(path))


@pytest.mark.parametrize(('convention', 'et_label'), [('source', 4), ('2021', 4), ('2023', 3)])
def test_writes_source_geometry(sample, tmp_path, convention, et_label):
    out = tmp_path / 'new' / 'out'
    writer = METRICS.build(dict(type='NiftiWriter', out_dir=str(out), label_convention=convention))
    writer.process({}, [sample])
    assert writer.evaluate(1) == {}
    assert [path.name for path in out.iterdir()] == ['case-1.nii.gz']
    image = nib.load(out / 'case-1.nii.gz')
    np.testing.assert_array_equal(image.affine, AFFINE)
    expected = np.moveaxis(sample['pred_sem_seg']['data'].numpy(), 0, 2) // 3 * et_label
    np.testing.assert_array_equal(np.asarray(image.dataobj), expected)


def test_says_how_many(sample, tmp_path, monkeypatch):
    printed = []
    monkeypatch.setattr(
        'mmcggm.evaluation.brats.nifti_writer.print_log', lambda text, logger: printed.append(text)
    )
    writer = NiftiWriter(str(tmp_path / 'out'))
    writer.process({}, [sample])
    writer.evaluate(1)
    assert printed == [f'Wrote 1 segmentations to {tmp_path / "out"}']


def test_unknown_convention(tmp_path):
    with pytest.raises(ValueError, match=r"no label convention '2020'; choose one of gli2021, gli2023"):
        NiftiWriter(str(tmp_path / 'out'), label_convention='2020')
    assert not (tmp_path / 'out').exists()


def test_what_is_no_segmentation_is_refused(tmp_path):
    writer = NiftiWriter(str(tmp_path / 'out'))
    with pytest.raises(ValueError, match=r"Only segmentations .* this sample has \['pred', 'target'\]"):
        writer.process({}, [dict(pred=1, target=1)])
