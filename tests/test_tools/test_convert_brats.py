import gzip
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mmcggm.datasets.brats.background import brain_mask, normalise
from mmcggm.datasets.brats.cases import MODALITIES
from mmcggm.datasets.brats.converter import convert_folder
from mmcggm.datasets.brats.splits import read_splits
from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.utils.atomic import temporary_path
from tests.synthetic import LPS, write_synthetic_case

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'brats.py'


def run_tool(monkeypatch, *arguments):
    """Run the tool's ``main`` and return its exit status."""
    spec = importlib.util.spec_from_file_location('convert_brats_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    return module.main()


def statuses(outcomes):
    return {outcome.case: outcome.status for outcome in outcomes}


def rewrite(path, change=lambda array: array, affine=None):
    """Change the voxels or the affine of a NIfTI file."""
    image = nib.load(path)
    array = change(np.asarray(image.dataobj).copy())
    nib.save(nib.Nifti1Image(array, image.affine if affine is None else affine, dtype=array.dtype), path)


def put(value, dtype=None):
    """Set the middle voxel."""

    def change(array):
        array = array.astype(dtype or array.dtype)
        array[tuple(size // 2 for size in array.shape)] = value
        return array

    return change


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def corrupt(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(content)[:40] + os.urandom(500))


def copy_under_other_naming(files):
    write_synthetic_case(files['t1'].parents[1] / 'again', 'bad', '2023')


SHIFTED = LPS + np.array([[0, 0, 0, 1]] + [[0] * 4] * 3)
BAD = {
    'missing sequence': (lambda f: f['t1ce'].unlink(), r'lacks bad_t1ce\.nii\.gz'),
    'shapes': (lambda f: rewrite(f['t2'], lambda a: a[1:]), r'bad_t2.* has shape \(31, .*\(32, 40, 24\)'),
    'seg shape': (lambda f: rewrite(f['seg'], lambda a: a[:, :, 1:]), r'bad_seg.* has shape \(32, 40, 23\)'),
    'affines': (lambda f: rewrite(f['t1'], affine=SHIFTED), r'bad_t1\.nii\.gz and bad_flair.* affine'),
    'seg affine': (lambda f: rewrite(f['seg'], affine=SHIFTED), r'bad_seg\.nii\.gz and bad_flair.* affine'),
    'unknown label': (lambda f: rewrite(f['seg'], put(7)), r'bad_seg.* holds labels \[7\]'),
    'fractional label': (lambda f: rewrite(f['seg'], put(1.5, float)), r'bad_seg.* holds labels \[1\.5\]'),
    'negative label': (lambda f: rewrite(f['seg'], put(-1, np.int16)), r'bad_seg.* holds labels \[-1\]'),
    'NaN': (lambda f: rewrite(f['t1'], put(np.nan, float)), r'bad_t1\.nii\.gz holds NaN'),
    'infinity': (lambda f: rewrite(f['t2'], put(np.inf, float)), r'bad_t2.* infinite values'),
    'empty brain': (lambda f: [rewrite(f[m], np.zeros_like) for m in MODALITIES], 'brain is empty'),
    'empty sequence': (lambda f: rewrite(f['flair'], np.zeros_like), 'flair is constant'),
    '4D': (lambda f: rewrite(f['t1'], lambda a: np.stack([a, a], 3)), r'bad_t1.* shape \(32, 40, 24, 2\)'),
    'complex': (lambda f: rewrite(f['t1'], lambda a: a.astype(np.complex64)), r'bad_t1.*complex64'),
    'truncated': (lambda f: truncate(f['flair']), r'bad_flair\.nii\.gz cannot be read'),
    'truncated seg': (lambda f: truncate(f['seg']), r'bad_seg\.nii\.gz cannot be read'),
    'corrupt': (lambda f: corrupt(f['t1ce']), r'bad_t1ce\.nii\.gz cannot be read'),
    'empty file': (lambda f: f['t2'].write_bytes(b''), r'bad_t2\.nii\.gz cannot be read'),
    'no NIfTI': (lambda f: f['t2'].write_bytes(b'<html>' * 99), r'bad_t2\.nii\.gz cannot be read'),
    'dead link': (lambda f: (f['t2'].unlink(), f['t2'].symlink_to('gone')), r'bad_t2.* cannot be read'),
    'both namings': (copy_under_other_naming, r'both namings.*again'),
    'duplicate': (lambda f: shutil.copytree(f['t1'].parent, f['t1'].parents[1] / 'again'), 'flair twice'),
    'two formats': (lambda f: shutil.copy(f['t1'], str(f['t1'])[:-3]), 't1 twice'),
}  # fmt: skip


@pytest.mark.parametrize(
    ('cases', 'shares', 'empty'),
    [
        (
            ['BraTS2021_00001'],
            (0.8, 0.1, 0.1),
            "'val' and 'test' empty (labelled cases: 1, patients: 1;",
        ),
        (['BraTS2021_00001', 'BraTS2021_00002'], (0.8, 0.1, 0.1), "leaves 'test' empty (labelled cases: 2"),
        (['BraTS2021_00001', 'BraTS2021_00002'], (0.5, 0.5, 0), None),
        ([f'BraTS2021_0000{i}' for i in range(3)], (0.8, 0.1, 0.1), None),
    ],
)
def test_a_split_without_cases_is_a_warning(tmp_path, capfd, monkeypatch, cases, shares, empty):
    for seed, case in enumerate(cases):
        write_synthetic_case(tmp_path / 'source', case, seed=seed)
    arguments = [tmp_path / 'source', '--out', tmp_path / 'store', '--workers', 1, '--split', *shares]
    assert run_tool(monkeypatch, *arguments) == 0
    errors = capfd.readouterr().err
    assert ('WARNING' in errors) == (empty is not None)
    if empty is not None:
        assert empty in errors and "split='all'" in errors and 'docs/brats.md' in errors


@pytest.mark.parametrize('kind', BAD)
def test_a_bad_case_is_named_and_costs_no_other(tmp_path, capfd, kind):
    spoil, reason = BAD[kind]
    source, store = tmp_path / 'source', tmp_path / 'store'
    write_synthetic_case(source, 'good', '2023')
    spoil(write_synthetic_case(source, 'bad', '2021'))
    outcomes = convert_folder(source, store)
    assert statuses(outcomes) == {'bad': 'bad', 'good': 'converted'}
    assert re.search(reason, outcomes[0].reason)
    assert re.search(f'BAD bad: .*{reason}', capfd.readouterr().err)
    assert sorted(path.name for path in store.rglob('*')) == ['cases', 'good.h5']
    assert statuses(convert_folder(source, store, skip_bad=True)) == {'bad': 'bad', 'good': 'present'}
    assert read_splits(store / 'splits.json')['train'] == ['good']


def test_the_exit_status_tells_whether_a_case_is_bad(tmp_path, monkeypatch, capsys):
    source, store = tmp_path / 'source', tmp_path / 'store'
    write_synthetic_case(source, 'good')
    truncate(write_synthetic_case(source, 'bad')['t1'])
    assert run_tool(monkeypatch, source, '--out', store, '--workers', 1) == 1
    assert '1 converted, 0 already there, 1 bad' in capsys.readouterr().out
    assert not (store / 'splits.json').exists()
    assert run_tool(monkeypatch, source, '--out', store, '--workers', 1, '--skip-bad') == 0
    assert '0 converted, 1 already there, 1 bad' in capsys.readouterr().out
    write_synthetic_case(source, 'bad')
    assert run_tool(monkeypatch, source, '--out', store, '--workers', 1) == 0
    assert '1 converted, 1 already there, 0 bad' in capsys.readouterr().out
    assert sum(len(read_splits(store / 'splits.json')[split]) for split in ('train', 'val', 'test')) == 2


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nowhere'], r'nowhere is not a folder.*_flair.*-t2f'),
        (['empty'], r'empty holds no case.*_flair.*-t2f'),
        (['source', '--split', '0.5', '0.4', '0.3'], r'--split.*0\.5'),
    ],
)
def test_a_wrong_call_is_explained_before_any_work(tmp_path, monkeypatch, capsys, arguments, message):
    write_synthetic_case(tmp_path / 'source', 'a')
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path)
    assert run_tool(monkeypatch, *arguments, '--out', 'store') == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / 'store').exists()


def test_malformed_splits_stop_the_run_before_any_work(tmp_path):
    write_synthetic_case(tmp_path / 'source', 'a')
    (tmp_path / 'store').mkdir()
    (tmp_path / 'store' / 'splits.json').write_text('{')
    with pytest.raises(ValueError, match=r'splits\.json is not valid JSON'):
        convert_folder(tmp_path / 'source', tmp_path / 'store')
    assert os.listdir(tmp_path / 'store') == ['splits.json']


def test_both_namings_and_unlabelled_cases_convert(brats_store):
    splits = read_splits(brats_store / 'splits.json')
    assert splits['unlabelled'] == ['BraTS-GLI-00004-000']
    assert all(splits[split] for split in ('train', 'val', 'test'))
    assert len(list((brats_store / 'cases').iterdir())) == 5


def test_each_sequence_is_standardised_over_the_brain(brats_source, brats_store):
    case = StoredCase(case_path(brats_store, 'BraTS2021_00001'))
    image, _ = case.read_volume(MODALITIES)
    folder = brats_source / 'BraTS2021_00001'
    source = np.stack(
        [nib.load(folder / f'BraTS2021_00001_{modality}.nii.gz').get_fdata() for modality in MODALITIES]
    )
    source = np.moveaxis(source, 3, 1)
    assert (source < 0).any(), 'the case must have the negative values that this is about'
    brain = (source > 0).any(axis=0)
    assert not image[:, ~brain].any()
    np.testing.assert_allclose(image[:, brain].mean(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(image[:, brain].std(axis=1), 1, atol=1e-3)
    for modality, original in zip(image, source, strict=True):
        assert np.corrcoef(modality[brain], original[brain])[0, 1] > 0.9999


def test_the_scale_of_the_source_does_not_matter():
    image = np.random.default_rng(0).uniform(1, 100, size=(4, 5, 6, 7)).astype(np.float32)
    one, other = (normalise(volumes, MODALITIES)[0] for volumes in (image, image * 40))
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize('shift', [0, 50], ids=['intensities', 'normalised before'])
def test_the_brain_is_found(shift):
    rng = np.random.default_rng(0)
    image = np.zeros((4, 8, 9, 10), dtype=np.float32)
    image[:, 2:6, 2:7, 2:8] = rng.uniform(1, 100, size=(4, 4, 5, 6)) - shift
    image[0, 2, 2, 2] = -3  # the others have tissue there
    expected = (image != 0).any(axis=0)
    if not shift:
        image[:, 1, 3, 3:6] = -2
    np.testing.assert_array_equal(brain_mask(image), expected)


def test_a_changed_source_is_converted_again(tmp_path):
    source, store = tmp_path / 'source', tmp_path / 'store'
    files = write_synthetic_case(source, 'a')
    write_synthetic_case(source, 'b')
    assert statuses(convert_folder(source, store)) == {'a': 'converted', 'b': 'converted'}
    splits = (store / 'splits.json').read_text()
    files['seg'].unlink()
    case_path(store, 'b').write_bytes(case_path(store, 'b').read_bytes()[:-100])
    assert statuses(convert_folder(source, store)) == {'a': 'converted', 'b': 'converted'}
    assert not StoredCase(case_path(store, 'a')).has_seg
    assert statuses(convert_folder(source, store)) == {'a': 'present', 'b': 'present'}
    assert (store / 'splits.json').read_text() == splits


def test_a_full_disk_stops_the_run_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    import h5py

    def fail(*args, **kwargs):
        raise OSError('No space left on device')

    write_synthetic_case(tmp_path / 'source', 'a')
    monkeypatch.setattr(h5py.Group, 'create_dataset', fail)
    with pytest.raises(OSError, match='No space'):
        convert_folder(tmp_path / 'source', tmp_path / 'store')
    assert not list((tmp_path / 'store' / 'cases').iterdir())


# The tool, but the last case takes as long as it needs to be killed.
ENDLESS = """
import runpy, sys, time
from mmcggm.datasets.brats import converter
convert = converter.convert_case
def convert_case(case, **options):
    if case.case == 'case23':
        time.sleep(600)
    return convert(case, **options)
convert_case.__module__ = converter.__name__
converter.convert_case = convert_case
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='looks for processes in /proc')
def test_a_killed_run_is_continued(tmp_path):
    source, store = tmp_path / 'source', tmp_path / 'store'
    for index in range(24):
        write_synthetic_case(source, f'case{index:02d}', shape=(96, 96, 48), seed=index)
    process = subprocess.Popen(
        [sys.executable, '-c', ENDLESS, str(TOOL), str(source), '--out', str(store), '--workers', '2'],
        stderr=subprocess.DEVNULL,
        env=os.environ | dict(PYTHONPATH=str(TOOL.parents[2])),
    )
    while len(list(store.glob('cases/[!.]*.h5'))) < 2:
        assert process.poll() is None
        time.sleep(0.002)
    workers = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 300  # half of what the last case would take
    while any(Path(f'/proc/{worker}').exists() for worker in workers):
        assert time.monotonic() < deadline, 'a worker outlived the run'
        time.sleep(0.01)

    done = {path.stem for path in store.glob('cases/[!.]*.h5')}
    assert 2 <= len(done) < 24
    assert not (store / 'splits.json').exists()
    temporary_path(store / 'cases' / 'case23.h5', process.pid).write_bytes(b'half')
    outcomes = convert_folder(source, store)
    assert {outcome.case for outcome in outcomes if outcome.status == 'present'} == done
    assert {outcome.case for outcome in outcomes if outcome.status == 'converted'}.isdisjoint(done)
    assert sorted(os.listdir(store / 'cases')) == [f'case{index:02d}.h5' for index in range(24)]
    for path in (store / 'cases').iterdir():
        assert StoredCase(path).read_volume(MODALITIES)[0].any()
    assert len(json.loads((store / 'splits.json').read_text())['train']) == 19


def test_real_cases_of_both_namings_convert(real_brats, tmp_path):
    outcomes = convert_folder(real_brats, tmp_path / 'store', workers=2)
    assert outcomes and {outcome.status for outcome in outcomes} == {'converted'}
    for outcome in outcomes:
        case = StoredCase(case_path(tmp_path / 'store', outcome.case))
        (source,) = real_brats.rglob(f'{outcome.case}?seg.nii.gz')
        case.write_nifti(case.read_seg(), tmp_path / 'seg.nii.gz')
        expected, written = nib.load(source), nib.load(tmp_path / 'seg.nii.gz')
        np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(expected.dataobj))
        np.testing.assert_array_equal(written.affine, expected.affine)
        assert written.header.binaryblock == expected.header.binaryblock
        size = sum(path.stat().st_size for path in source.parent.glob('*.nii.gz'))
        assert case.path.stat().st_size < 3 * size
