"""Segmenting cases without a store: as testing them does, in any orientation, from files or arrays."""

import shutil
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from mmcggm.apis import SegmentationInferencer
from mmcggm.apis.infer import main
from mmcggm.apis.segmentation import fitting_schemes
from mmcggm.balancers.coalitions import masking
from mmcggm.datasets.brats.cases import MODALITIES, find_cases
from mmcggm.datasets.brats.label_conventions import CONVENTIONS, TREATED, TUMOUR
from mmcggm.datasets.brats.nifti import CaseError
from tests.segmentors import build
from tests.synthetic import write_synthetic_case

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ['{root}/configs/cggm/brats_unet_demo.py']
channels = (4, 6, 8)
model = dict(
    model=dict(
        backbone=dict(
            encoder=dict(channels=channels), fusion=dict(in_channels=channels, out_channels=channels)
        ),
        decode_head=dict(in_channels=channels),
    ),
    guide=dict(head=dict(in_channels=channels[1:], in_index=[1, 2], channels=channels[0])),
)
test_dataloader = dict(dataset=dict(data_root='{store}', split='all'))
"""
CODES = [''.join(side) for axes in permutations(('LR', 'PA', 'SI')) for side in product(*axes)]


@pytest.fixture(scope='module')
def model_files(brats_store, tmp_path_factory) -> tuple[Path, Path]:
    """A config and a checkpoint of a small network, of random weights, that keeps the config."""
    folder = tmp_path_factory.mktemp('model')
    config = folder / 'tiny.py'
    config.write_text(CONFIG.format(root=ROOT, store=brats_store))
    cfg = Config.fromfile(config)
    torch.manual_seed(3)
    model = build(cfg.model)
    meta = dict(cfg=cfg.pretty_text, dataset_meta=TUMOUR.metainfo)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), folder / 'tiny.pth')
    return config, folder / 'tiny.pth'


@pytest.fixture(scope='module')
def inferencer(model_files) -> SegmentationInferencer:
    return SegmentationInferencer(*model_files, device='cpu')


def run(model_files, *arguments):
    return main([*map(str, model_files), *map(str, arguments), '--device', 'cpu', '--no-overlays'])


def test_segmenting_a_folder_equals_testing_its_store(model_files, inferencer, brats_source, tmp_path, tool):
    config, checkpoint = model_files
    tool(
        'test.py',
        config,
        checkpoint,
        '--out',
        tmp_path / 'tested',
        '--format-only',
        '--work-dir',
        tmp_path / 'work',
    )
    assert run(model_files, brats_source, '--out', tmp_path / 'inferred') == 0
    tested = sorted((tmp_path / 'tested').glob('*.nii.gz'))
    assert len(tested) == 5
    for path in tested:
        expected, found = nib.load(path), nib.load(tmp_path / 'inferred' / path.name)
        assert len(np.unique(np.asarray(expected.dataobj))) > 1
        np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(expected.dataobj))
        assert found.header == expected.header


@settings(max_examples=8)
@given(code=st.sampled_from(CODES), extension=st.sampled_from(['.nii', '.nii.gz']))
def test_any_orientation_gives_one_segmentation_in_its_own_geometry(
    inferencer, tmp_path_factory, code, extension
):
    folder = tmp_path_factory.mktemp('turned')
    files = write_synthetic_case(folder / 'a', 'BraTS2021_00001', with_seg=False, extension=extension)
    (plain,) = inferencer(folder / 'a', progress=False)
    for path in files.values():
        image = nib.load(path)
        turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(code))
        nib.save(image.as_reoriented(turn), folder / path.name)
    shutil.rmtree(folder / 'a')
    (turned,) = inferencer(folder, progress=False)
    source = nib.load(folder / files['flair'].name)
    assert turned.labels.shape == source.shape and nib.aff2axcodes(turned.affine) == tuple(code)
    np.testing.assert_allclose(turned.affine, source.affine)
    back = nib.Nifti1Image(turned.labels, source.affine).as_reoriented(
        ornt_transform(io_orientation(source.affine), io_orientation(plain.affine))
    )
    np.testing.assert_array_equal(np.asarray(back.dataobj), plain.labels)
    assert turned.volumes == pytest.approx(plain.volumes)


def test_arrays_equal_files(inferencer, brats_source):
    case = find_cases(brats_source).cases[-1]
    images = {name: nib.load(case.files[name]) for name in MODALITIES}
    arrays = {name: np.asarray(image.dataobj) for name, image in images.items()}
    (from_arrays,) = inferencer(dict(arrays, affine=images['flair'].affine, case=case.case), progress=False)
    (from_file,) = inferencer(case.files['flair'].parent, progress=False)
    labels = from_file.training_labels
    np.testing.assert_array_equal(from_arrays.training_labels, labels)
    np.testing.assert_array_equal(from_arrays.affine, from_file.affine)


def test_passes_of_any_size_give_one_segmentation_and_its_probabilities(
    model_files, inferencer, brats_source
):
    folder = brats_source / 'BraTS2021_00001'
    single = SegmentationInferencer(*model_files, device='cpu', batch_size=1)
    (one,), (many,) = (each(folder, probabilities=True, progress=False) for each in (single, inferencer))
    np.testing.assert_array_equal(one.labels, many.labels)
    np.testing.assert_allclose(one.probabilities, many.probabilities, atol=1e-5)
    assert many.probabilities.shape == (4, *many.labels.shape)
    np.testing.assert_allclose(many.probabilities.sum(axis=0), 1, atol=1e-5)
    table = np.array(many.convention.on_disk)
    np.testing.assert_array_equal(table[many.probabilities.argmax(axis=0)], many.labels)


def test_the_config_in_the_checkpoint_serves(model_files, inferencer, brats_source):
    folder = brats_source / 'BraTS2021_00001'
    kept = SegmentationInferencer(None, model_files[1], device='cpu')
    np.testing.assert_array_equal(
        kept(folder, progress=False)[0].labels, inferencer(folder, progress=False)[0].labels
    )


def test_volumes_are_those_of_the_file(inferencer, tmp_path):
    write_synthetic_case(tmp_path / 'in', 'a', with_seg=False, affine=np.diag([-2.0, -1, 1.5, 1]))
    (found,) = inferencer(tmp_path / 'in', progress=False)
    found.save(tmp_path / 'out')
    assert (tmp_path / 'out' / 'overlays' / 'a.png').stat().st_size > 1000
    on_disk = np.asarray(nib.load(tmp_path / 'out' / 'a.nii.gz').dataobj)
    assert set(np.unique(on_disk)) <= {0, 1, 2, 4}
    for region, labels in dict(WT=(1, 2, 4), TC=(1, 4), ET=(4,)).items():
        assert found.volumes[region] == pytest.approx(np.isin(on_disk, labels).sum() * 3e-3)


def test_a_bad_case_is_named_and_the_others_are_done(model_files, tmp_path, capsys):
    source, out = tmp_path / 'in', tmp_path / 'out'
    write_synthetic_case(source, 'good', with_seg=False)
    damaged = write_synthetic_case(source, 'damaged', with_seg=False)
    damaged['t2'].write_bytes(damaged['t2'].read_bytes()[:900])
    lacking = write_synthetic_case(source, 'lacking', with_seg=False)
    lacking['t1ce'].unlink()
    assert run(model_files, source, '--out', out) == 1
    said = capsys.readouterr()
    assert 'BAD damaged: damaged_t2.nii.gz cannot be read' in said.err
    assert 'BAD lacking: lacks lacking_t1ce.nii.gz' in said.err
    assert '1 segmented, 0 already there, 2 bad' in said.out and 'The model took' in said.out
    assert [path.name for path in out.glob('*.nii.gz')] == ['good.nii.gz']
    assert (out / 'volumes.csv').read_text().startswith('case,WT_ml,TC_ml,ET_ml\ngood,')

    (source / 'good').rename(tmp_path / 'elsewhere')
    assert run(model_files, source, '--out', tmp_path / 'none') == 2


def test_a_missing_sequence_counts_as_absent(model_files, tmp_path, capsys):
    files = write_synthetic_case(tmp_path / 'in', 'a', with_seg=False)
    files['t1'].unlink()
    inferencer = SegmentationInferencer(*model_files, device='cpu', allow_missing=True)
    (job,) = inferencer.jobs(inferencer.find(tmp_path / 'in')[0].cases)
    inputs = inferencer.read(job).batch['inputs']
    assert not inputs['t1'][0].any() and all(inputs[name][0].any() for name in ('flair', 't1ce', 't2'))
    with torch.no_grad():  # after training an encoder makes something of zeros
        for parameter in inferencer.model.model.backbone.encoders.t1.parameters():
            parameter += 0.1
    found = inferencer.segment(inferencer.read(job), probabilities=True)
    inferencer.model.present = None  # as if all were there
    zero_input = inferencer.segment(inferencer.read(job), probabilities=True)
    with inferencer.model.changing(masking(frozenset({0, 1, 3}), 4)):
        masked = inferencer.segment(inferencer.read(job), probabilities=True)
    np.testing.assert_array_equal(found.training_probabilities, masked.training_probabilities)
    assert not np.array_equal(found.training_probabilities, zero_input.training_probabilities)
    assert run(model_files, tmp_path / 'in', '--out', tmp_path / 'out', '--allow-missing') == 0
    assert 'WARNING In 1 cases t1 is missing and counts as absent' in capsys.readouterr().err


def test_what_is_there_is_kept_unless_it_changed(model_files, tmp_path, capsys):
    source, out = tmp_path / 'in', tmp_path / 'out'
    for index, name in enumerate('ab'):
        write_synthetic_case(source, name, with_seg=False, seed=index)
    assert run(model_files, source, '--out', out) == 0
    table, times = (out / 'volumes.csv').read_text(), [p.stat().st_mtime_ns for p in sorted(out.glob('*.gz'))]
    assert run(model_files, source, '--out', out) == 0
    assert '0 segmented, 2 already there' in capsys.readouterr().out
    assert (out / 'volumes.csv').read_text() == table
    assert [path.stat().st_mtime_ns for path in sorted(out.glob('*.gz'))] == times

    (out / 'a.nii.gz').unlink()
    write_synthetic_case(source, 'b', with_seg=False, seed=7)
    assert run(model_files, source, '--out', out) == 0
    assert '2 segmented, 0 already there' in capsys.readouterr().out
    with pytest.raises(ValueError, match=r'made with another out_labels.*--overwrite'):
        run(model_files, source, '--out', out, '--out-labels', 'gli2023')
    assert run(model_files, source, '--out', out, '--out-labels', 'gli2023', '--overwrite') == 0


def test_files_of_others_are_not_replaced(model_files, tmp_path):
    write_synthetic_case(tmp_path / 'in', 'a', with_seg=False)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'a.nii.gz').write_text('by hand')
    with pytest.raises(ValueError, match='nothing tells what it was made with'):
        run(model_files, tmp_path / 'in', '--out', tmp_path / 'out')
    assert (tmp_path / 'out' / 'a.nii.gz').read_text() == 'by hand'


def test_probabilities_have_a_file_in_the_source_geometry(model_files, brats_source, tmp_path):
    assert run(model_files, brats_source / 'BraTS2021_00001', '--out', tmp_path, '--probabilities') == 0
    labels = nib.load(tmp_path / 'BraTS2021_00001.nii.gz')
    probabilities = nib.load(tmp_path / 'probabilities' / 'BraTS2021_00001.nii.gz')
    assert probabilities.shape == (*labels.shape, 4)
    np.testing.assert_array_equal(probabilities.affine, labels.affine)
    classes = np.asarray(probabilities.dataobj).argmax(axis=-1)
    np.testing.assert_array_equal(np.array([0, 1, 2, 4])[classes], np.asarray(labels.dataobj))


def test_labels_of_other_classes_are_refused(model_files, tmp_path):
    write_synthetic_case(tmp_path, 'BraTS-GLI-1', '2023')
    with pytest.raises(ValueError, match=r'those of gli2024.*trained on.*edema'):
        run(model_files, tmp_path, '--out', tmp_path / 'out', '--labels', 'gli2024')


def test_wrong_arrays_are_named(inferencer, brats_source):
    arrays = {name: np.ones((4, 4, 4)) for name in MODALITIES}
    with pytest.raises(CaseError, match='affine'):
        inferencer(arrays, progress=False)
    with pytest.raises(CaseError, match="lacks \\['t2'\\]"):
        inferencer({name: arrays[name] for name in MODALITIES[:3]} | dict(affine=np.eye(4)), progress=False)
    with pytest.raises(CaseError, match='case_0: t1 of case_0 must be real numbers'):
        inferencer(dict(arrays, affine=np.eye(4), t1=np.ones((4, 4))), progress=False)


def test_schemes_fit_by_names_else_by_number():
    assert fitting_schemes(5, TREATED.classes) == [TREATED]
    assert all(len(scheme.classes) == 4 for scheme in fitting_schemes(4, None))
    assert {c.scheme.classes for c in CONVENTIONS.values() if len(c.on_disk) == 4} == {
        scheme.classes for scheme in fitting_schemes(4, ('names', 'of', 'my', 'own'))
    }
    with pytest.raises(ValueError, match='9 classes'):
        fitting_schemes(9, None)
