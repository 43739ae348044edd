"""Segmenting cases without a store: as testing them does, in any orientation, from files or arrays."""

import re
import runpy
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
from mmcggm.datasets.brats.region_map import RegionMap
from mmcggm.guided.ensemble import set_ensemble
from mmcggm.models.outputs import LabelOutputs, RegionOutputs
from mmcggm.utils.checkpoints import CheckpointError
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


@pytest.fixture(scope='module')
def other_checkpoint(model_files, tmp_path_factory) -> Path:
    """A checkpoint of the same network with other weights, of its inner model alone."""
    cfg = Config.fromfile(model_files[0])
    torch.manual_seed(4)
    model = build(cfg.model)
    path = tmp_path_factory.mktemp('other') / 'other.pth'
    torch.save(dict(meta=dict(dataset_meta=TUMOUR.metainfo), state_dict=model.model.state_dict()), path)
    return path


def test_an_ensemble_is_the_mean_in_a_test_as_in_inference(
    model_files, inferencer, other_checkpoint, brats_source, tmp_path, tool
):
    config, checkpoint = model_files
    both = (checkpoint, other_checkpoint)
    options = ('--format-only', '--work-dir', tmp_path / 'work')
    tool('test.py', config, *both, '--out', tmp_path / 'tested', *options)
    assert run((config, *both), brats_source, '--out', tmp_path / 'inferred') == 0
    tested = sorted((tmp_path / 'tested').glob('*.nii.gz'))
    assert len(tested) == 5
    for path in tested:
        expected, found = (np.asarray(nib.load(p).dataobj) for p in (path, tmp_path / 'inferred' / path.name))
        np.testing.assert_array_equal(found, expected)

    folder = brats_source / 'BraTS2021_00001'
    (one,) = inferencer(folder, probabilities=True, progress=False)
    other, ensemble, twice = (
        SegmentationInferencer(config, names, 'cpu')(folder, probabilities=True, progress=False)[0]
        for names in (other_checkpoint, both, [checkpoint] * 2)
    )
    mean = (one.training_probabilities + other.training_probabilities) / 2
    np.testing.assert_allclose(ensemble.training_probabilities, mean, atol=1e-6)
    np.testing.assert_array_equal(twice.training_probabilities, one.training_probabilities)
    assert not np.array_equal(ensemble.labels, one.labels)
    inferred = np.asarray(nib.load(tmp_path / 'inferred' / 'BraTS2021_00001.nii.gz').dataobj)
    np.testing.assert_array_equal(ensemble.labels, inferred)


def test_corrections_are_those_of_the_data(model_files, inferencer, brats_source):
    """Also of a checkpoint that keeps its config, which names them."""
    config, checkpoint = model_files
    folder, key = brats_source / 'BraTS2021_00001', 'model.model.test_cfg.post_processing'
    (plain,) = inferencer(folder, progress=False)
    volume, step = plain.volumes['WT'] * 1000, dict(type='ReplaceSmall', region='WT', by='background')
    for below, expected in ((volume, plain.training_labels), (volume + 1, 0 * plain.training_labels)):
        options = {key: [dict(step, below=below)]}
        (found,) = SegmentationInferencer(config, checkpoint, 'cpu', options=options)(folder, progress=False)
        np.testing.assert_array_equal(found.training_labels, expected)
    assert volume > 0
    other = {key: [dict(step, below=1, labels='menrt2024', region='GTV')]}
    with pytest.raises(ValueError, match=r'ReplaceSmall is of the regions GTV = 1, which the data .*'):
        SegmentationInferencer(config, checkpoint, 'cpu', options=other)

    kept = torch.load(checkpoint)
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    kept['meta']['cfg'] = cfg.pretty_text
    torch.save(kept, checkpoint.with_name('kept.pth'))
    (found,) = SegmentationInferencer(None, checkpoint.with_name('kept.pth'), 'cpu')(folder, progress=False)
    np.testing.assert_array_equal(found.training_labels, expected)


def test_a_threshold_is_chosen_on_the_validation_split(model_files, brats_store, tmp_path, tool):
    split = 'val_dataloader.dataset.split=[train,val,test]'
    data = ('--cfg-options', f'val_dataloader.dataset.data_root={brats_store}', split)
    options = ('--choose-threshold', 'ET', 'NCR', '--work-dir', tmp_path, *data)
    tool('test.py', *model_files, *options)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'Dice_mean_as_predicted' in log and 'ET below (mm³)' in log and '4 cases; the best limits' in log


def test_a_threshold_needs_predictions_as_they_are_and_a_validation_split(model_files):
    choose = runpy.run_path(str(ROOT / 'tools' / 'test.py'), run_name='tool')['choose_threshold']
    cfg = Config.fromfile(model_files[0])
    evaluators = choose(cfg, [dict(type='BraTSMetric', rule='brats2021')], 'ET', 'NCR')
    assert evaluators[1]['rule'] == 'brats2021' and cfg.test_dataloader == cfg.val_dataloader
    cfg.model.model.test_cfg.post_processing = [dict(type='KeepLargest'), dict(type='ReplaceSmall', below=1)]
    with pytest.raises(ValueError, match='take ReplaceSmall out'):
        choose(cfg, [], 'ET', 'NCR')
    cfg.val_dataloader = None
    with pytest.raises(ValueError, match='--choose-threshold needs `val_dataloader`'):
        choose(cfg, [], 'ET', 'NCR')


def test_what_is_no_ensemble_is_refused(model_files, other_checkpoint, brats_source, tmp_path):
    config, checkpoint = model_files
    folder, out = brats_source / 'BraTS2021_00001', tmp_path / 'out'
    with pytest.raises(ValueError, match=r'are checkpoints: name a folder of cases after them'):
        run((config, checkpoint), other_checkpoint, '--out', tmp_path)
    weights = torch.load(other_checkpoint)['state_dict']
    treated = dict(meta=dict(dataset_meta=TREATED.metainfo), state_dict=weights)
    torch.save(treated, tmp_path / 'treated.pth')
    with pytest.raises(CheckpointError, match=r'treated\.pth. has the classes .*resection.* but .*tiny\.pth'):
        SegmentationInferencer(config, [checkpoint, tmp_path / 'treated.pth'], 'cpu')
    torch.save(dict(state_dict=dict(a=torch.zeros(1))), tmp_path / 'strange.pth')
    with pytest.raises(CheckpointError, match=r'strange\.pth.* does not fit'):
        SegmentationInferencer(config, [checkpoint, tmp_path / 'strange.pth'], 'cpu')
    run((config, checkpoint), folder, '--out', out)
    with pytest.raises(ValueError, match='made with another checkpoint'):
        run((config, checkpoint, other_checkpoint), folder, '--out', out)
    with pytest.raises(ValueError, match=r'Several checkpoints are for models that segment.* is a Linear'):
        set_ensemble(torch.nn.Linear(1, 1), [checkpoint, checkpoint])


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


def test_a_network_that_sees_background_alone_is_told(model_files, brats_source, tmp_path, capsys, tool):
    config, trained = model_files
    stored = torch.load(trained, weights_only=False)
    for name in ('model.decode_head.conv_seg.weight', 'model.decode_head.conv_seg.bias'):
        stored['state_dict'][name] = torch.zeros_like(stored['state_dict'][name])
    stored['state_dict'][name][0] = 9.0
    torch.save(stored, collapsed := tmp_path / 'collapsed.pth')
    message = 'Each of 5 cases is predicted as background alone'
    for _ in range(2):  # segmented, and there
        assert run((config, collapsed), brats_source, '--out', tmp_path / 'empty') == 0
        assert message in capsys.readouterr().err
    assert run(model_files, brats_source, '--out', tmp_path / 'found') == 0
    assert 'background alone' not in capsys.readouterr().err
    work = ('--work-dir', tmp_path / 'work', '--format-only', '--out', tmp_path / 'tested')
    tool('test.py', config, collapsed, *work)
    (log,) = (tmp_path / 'work').glob('*/*.log')
    assert log.read_text().count(message) == 1


def test_weights_that_are_no_numbers_are_told(model_files, brats_source, tmp_path, capsys):
    config, trained = model_files
    stored = torch.load(trained, weights_only=False)
    stored['state_dict']['model.decode_head.conv_seg.bias'][2] = float('nan')
    torch.save(stored, diverged := tmp_path / 'diverged.pth')
    assert run((config, diverged), brats_source, '--out', tmp_path / 'out') == 0
    assert re.search('WARNING In 5 cases the network gives NaN, which counts as', capsys.readouterr().err)


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
    assert run(model_files, tmp_path / 'in', '--out', tmp_path / 'out') == 2  # nothing is done in that folder
    assert 'lacks a_t1.nii.gz (`--allow-missing` takes it all the same)' in capsys.readouterr().err
    assert run(model_files, tmp_path / 'in', '--out', tmp_path / 'out', '--allow-missing') == 0
    assert 'WARNING In 1 case t1 is missing and counts as absent' in capsys.readouterr().err


def test_a_case_needs_only_the_sequences_that_the_model_takes(model_files, tmp_path):
    two = ('flair', 't2')
    cfg = Config.fromfile(model_files[0])
    cfg.model.encoders = {modality: f'backbone.encoders.{modality}' for modality in two}
    cfg.model.model.backbone.modalities = cfg.test_dataloader.dataset.modalities = two
    torch.save(dict(meta={}, state_dict=build(cfg.model).state_dict()), tmp_path / 'two.pth')
    inferencer = SegmentationInferencer(cfg, tmp_path / 'two.pth', device='cpu')
    for case, lacking in dict(a=('t1', 't1ce'), b=('t2',)).items():
        files = write_synthetic_case(tmp_path / 'in', case, with_seg=False)
        for sequence in lacking:
            files[sequence].unlink()
    found, _ = inferencer.find(tmp_path / 'in')
    assert found.bad == dict(b='lacks b_t2.nii.gz (`--allow-missing` takes it all the same)')
    (read,) = [inferencer.read(job) for job in inferencer.jobs(found.cases)]
    assert set(read.batch['inputs']) == {*two} and not read.notes
    arrays = dict(t1=np.ones((4, 4, 4)), affine=np.eye(4))
    with pytest.raises(CaseError, match=r"lacks \['flair', 't2'\]"):
        inferencer(arrays, progress=False)
    inferencer.allow_missing = True
    assert inferencer.find(tmp_path / 'in')[0].bad == {}
    with pytest.raises(CaseError, match=r"lacks \['flair', 't2'\]"):
        inferencer(arrays, progress=False)
    cfg.test_dataloader.dataset.modalities = ('flair', 'adc')
    with pytest.raises(ValueError, match=r"`test_dataloader\.dataset\.modalities` names \['adc'\]"):
        SegmentationInferencer(cfg, tmp_path / 'two.pth', device='cpu')


def test_results_beside_the_input_are_no_misnamed_references(model_files, tmp_path, capsys):
    write_synthetic_case(tmp_path, 'a', with_seg=False)
    for _ in range(2):
        assert run(model_files, tmp_path, '--out', tmp_path) == 0
        assert 'may be one' not in capsys.readouterr().err


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
    four, five = LabelOutputs(4), LabelOutputs(5)
    assert fitting_schemes(five, TREATED.classes) == [TREATED]
    assert all(len(scheme.classes) == 4 for scheme in fitting_schemes(four, None))
    assert {c.scheme.classes for c in CONVENTIONS.values() if len(c.on_disk) == 4} == {
        scheme.classes for scheme in fitting_schemes(four, ('names', 'of', 'my', 'own'))
    }
    with pytest.raises(ValueError, match='9 classes'):
        fitting_schemes(LabelOutputs(9), None)


def test_schemes_fit_by_their_regions():
    """Also where the checkpoint says nothing of classes: those of treated gliomas are five, as children's."""
    assert fitting_schemes(RegionOutputs(RegionMap('gli2024')), None) == [TREATED]
    assert TUMOUR in fitting_schemes(RegionOutputs(RegionMap('gli2023')), None)
    strange = RegionOutputs(RegionMap(dict(WT=(1, 2), TC=(2,))))
    with pytest.raises(ValueError, match=r'3 classes and the regions WT = 1\+2, TC = 2, as no set'):
        fitting_schemes(strange, None)
    with pytest.raises(ValueError, match='as no set of BraTS has'):
        fitting_schemes(RegionOutputs(RegionMap('gli2023')), TREATED.classes)
