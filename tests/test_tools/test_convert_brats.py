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

from mmcggm.datasets.brats import converter
from mmcggm.datasets.brats.background import brain_mask, normalise
from mmcggm.datasets.brats.case_volumes import read_case
from mmcggm.datasets.brats.cases import MODALITIES, find_cases
from mmcggm.datasets.brats.converter import convert_folder
from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.datasets.brats.splits import SPLITS, read_splits
from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.utils.atomic import temporary_path
from tests.synthetic import LPS, write_synthetic_case
from tests.tool import exit_status

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'brats.py'


def run_tool(monkeypatch, *arguments):
    """Run the tool's ``main`` and return its exit status."""
    spec = importlib.util.spec_from_file_location('convert_brats_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    return exit_status(module.main, status_of_errors=2)


def run_folder(source, store, capfd, **options):
    """Convert in this process and return the statuses by case and what was said."""
    outcomes = convert_folder(source, store, **options)
    return statuses(outcomes), capfd.readouterr().err


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


def edit(path, **fields):
    """Change the header of a NIfTI file, whatever nibabel thinks of it."""
    content = path.read_bytes()
    content = bytearray(gzip.decompress(content) if path.suffix == '.gz' else content)
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for key, value in fields.items():
        header[key] = value
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(content) if path.suffix == '.gz' else content)


def resize(path, *shape):
    edit(path, dim=[len(shape), *shape, *[1] * (7 - len(shape))])


def append(path, content):
    path.write_bytes(path.read_bytes() + content)


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def copy_under_other_naming(files):
    write_synthetic_case(files['t1'].parents[1] / 'again', 'bad', '2023')


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def bomb(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(1 << 24)))


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
    '4D': (lambda f: rewrite(f['t1'], lambda a: np.stack([a, a], 3)), r'bad_t1.*\(32, 40, 24, 2\).*3D'),
    'complex': (lambda f: rewrite(f['t1'], lambda a: a.astype(np.complex64)), r'bad_t1.*complex64'),
    'truncated': (lambda f: truncate(f['flair']), r'bad_flair\.nii\.gz cannot be read'),
    'truncated seg': (lambda f: truncate(f['seg']), r'bad_seg\.nii\.gz cannot be read'),
    'corrupt': (lambda f: corrupt(f['t1ce']), r'bad_t1ce\.nii\.gz cannot be read'),
    'empty file': (lambda f: f['t2'].write_bytes(b''), r'bad_t2\.nii\.gz cannot be read'),
    'no NIfTI': (lambda f: f['t2'].write_bytes(b'<html>' * 99), r'bad_t2\.nii\.gz cannot be read'),
    'dead link': (lambda f: (f['t2'].unlink(), f['t2'].symlink_to('gone')), r'bad_t2.* cannot be read'),
    'flipped bit': (lambda f: flip(f['t1']), r'bad_t1\.nii\.gz cannot be read'),
    'trailing garbage': (lambda f: append(f['t1'], b'x'), r'bad_t1.* cannot be read'),
    'bomb': (lambda f: bomb(f['seg']), r'bad_seg\.nii\.gz cannot be read: it holds more'),
    '30000 cubed': (lambda f: resize(f['t2'], 30000, 30000, 30000), r'bad_t2.*\(30000, 30000, 30000\)'),
    'negative size': (lambda f: resize(f['seg'], -32, 40, 24), r'bad_seg.*\(-32, 40, 24\)'),
    'no voxel size': (lambda f: edit(f['flair'], srow_z=0, qform_code=0), r'bad_flair.*1 × 1 × 0 mm'),
    'NaN affine': (lambda f: edit(f['flair'], srow_x=np.nan, qform_code=0), r'bad_flair.*impossible sform'),
    'no orientation': (lambda f: edit(f['seg'], sform_code=0, qform_code=0), r'bad_seg.*not say how it lies'),
    'mirrored form': (lambda f: edit(f['t1'], srow_x=[1, 0, 0, 0]), r'bad_t1.*contradicts itself'),
    'pipe': (lambda f: replace_by_pipe(f['t1']), r'bad_t1\.nii\.gz cannot be read: it is no regular file'),
    'pipe as segmentation': (lambda f: replace_by_pipe(f['seg']), r'bad_seg.*no regular file'),
    'folder': (lambda f: replace_by_folder(f['t1']), r'lacks bad_t1\.nii\.gz'),
    'circular link': (lambda f: (f['t2'].unlink(), f['t2'].symlink_to(f['t2'])), r'bad_t2.* cannot be read'),
    'vast value': (lambda f: rewrite(f['t1'], put(1e300, float)), r'bad_t1.*1e\+300'),
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
        assert empty in errors and "split='all'" in errors and 'BraTS: data, protocol, metrics' in errors


@pytest.fixture(scope='module')
def nine(tmp_path_factory):
    """Nine good cases of both namings, and the store that was made of them."""
    folder = tmp_path_factory.mktemp('nine')
    for seed in range(9):
        write_synthetic_case(folder / 'source', f'good{seed}', '2021' if seed % 2 else '2023', seed=seed)
    convert_folder(folder / 'source', folder / 'store')
    return folder


@pytest.mark.parametrize('kind', BAD)
def test_a_bad_case_is_named_and_costs_none_of_nine_others(nine, tmp_path, monkeypatch, capfd, kind):
    spoil, reason = BAD[kind]
    source, store = tmp_path / 'source', tmp_path / 'store'
    spoil(write_synthetic_case(source, 'bad', '2021', seed=9))
    for path in (nine / 'source').iterdir():
        (source / path.name).symlink_to(path)
    good = [f'good{seed}' for seed in range(9)]
    # The nine are converted anew for a few kinds, for the others they are there: that is quicker.
    if kind not in ('missing sequence', 'unknown label', 'flipped bit', 'bomb', 'pipe'):
        shutil.copytree(nine / 'store' / 'cases', store / 'cases')
    assert run_tool(monkeypatch, source, '--out', store, '--workers', 1) == 1
    assert re.search(f'BAD bad: .*{reason}', capfd.readouterr().err)
    assert sorted(path.name for path in store.rglob('*')) == ['cases', *(f'{case}.h5' for case in good)]
    assert run_tool(monkeypatch, source, '--out', store, '--workers', 1, '--skip-bad') == 0
    assert re.search(f'BAD bad: .*{reason}', capfd.readouterr().err)
    splits = read_splits(store / 'splits.json')
    assert sorted(case for split in ('train', 'val', 'test') for case in splits[split]) == good


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


def test_a_changed_source_is_converted_again(tmp_path, capfd):
    source, store = tmp_path / 'source', tmp_path / 'store'
    files = write_synthetic_case(source, 'a')
    write_synthetic_case(source, 'b')
    assert statuses(convert_folder(source, store)) == {'a': 'converted', 'b': 'converted'}
    splits = (store / 'splits.json').read_text()
    files['seg'].unlink()
    case_path(store, 'b').write_bytes(case_path(store, 'b').read_bytes()[:-100])
    assert statuses(convert_folder(source, store)) == {'a': 'converted', 'b': 'converted'}
    assert not StoredCase(case_path(store, 'a')).has_seg
    assert re.search(
        '1 case to train or test with but without a segmentation any more: a', capfd.readouterr().err
    )
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


def test_a_label_whose_meaning_is_open_refuses_the_set_until_it_is_said(tmp_path, capfd, monkeypatch):
    """Of three treated gliomas one has a cavity: for a file alone, 4 would be the enhancing tumour."""
    source, store = tmp_path / 'source', tmp_path / 'store'
    for seed in range(3):
        files = write_synthetic_case(source, f'BraTS-GLI-0000{seed}-100', '2023', seed=seed)
        if seed == 1:
            rewrite(files['seg'], lambda array: np.where(array == 1, 4, array).astype(np.uint8))
    arguments = [source, '--out', store, '--workers', 1]
    for more in ([], ['--skip-bad']):
        assert run_tool(monkeypatch, *arguments, *more) == 2
        errors = capfd.readouterr().err
        assert 'BraTS-GLI-00001-100 holds label 4' in errors and '--labels' in errors and 'gli2024' in errors
        assert not store.exists()
    assert run_tool(monkeypatch, *arguments, '--labels', 'gli2024') == 0
    assert 'gli2024 (treated gliomas' in capfd.readouterr().err
    case = StoredCase(case_path(store, 'BraTS-GLI-00001-100'))
    assert set(np.unique(case.read_seg())) == {0, 2, 3, 4}
    assert case.convention.scheme.regions['RC'] == (4,)
    # The store keeps to what was said.
    write_synthetic_case(source, 'BraTS-GLI-00009-100', '2023', seed=9)
    assert run_tool(monkeypatch, *arguments) == 0
    assert StoredCase(case_path(store, 'BraTS-GLI-00009-100')).convention.name == 'gli2024'


def test_a_store_has_one_convention(tmp_path):
    convert_folder(make_set(tmp_path / 'a', 'x'), tmp_path / 'store')
    before = (tmp_path / 'store' / 'splits.json').read_text()
    for source, labels in ((tmp_path / 'a', 'gli2024'), (make_set(tmp_path / 'b', 'y'), 'ped2024')):
        with pytest.raises(
            ValueError, match=r'The store was converted with the labels of gli2021.*another store'
        ):
            convert_folder(source, tmp_path / 'store', labels=labels)
    assert (tmp_path / 'store' / 'splits.json').read_text() == before
    with pytest.raises(ValueError, match="no label convention '2022'"):
        convert_folder(tmp_path / 'a', tmp_path / 'store', labels='2022')


def test_labels_are_told_by_all_files_and_not_by_one(tmp_path):
    """A set in the older names whose enhancing tumour is 3; one case holds none of it."""
    source = tmp_path / 'source'
    for seed in range(3):
        files = write_synthetic_case(source, f'x{seed}', '2021', seed=seed, et=bool(seed))
        rewrite(files['seg'], lambda array: np.where(array == 4, 3, array).astype(np.uint8))
    convert_folder(source, tmp_path / 'store')
    names = {StoredCase(path).convention.name for path in (tmp_path / 'store' / 'cases').iterdir()}
    assert names == {'gli2023'}
    rewrite(files['seg'], lambda array: np.where(array == 3, 4, array).astype(np.uint8))
    with pytest.raises(ValueError, match=r'x1 holds label 3 and x2 label 4.*--labels'):
        convert_folder(source, tmp_path / 'other')


def test_labels_near_integers_are_integers(tmp_path):
    files = write_synthetic_case(tmp_path / 'source', 'a', '2021', seg_dtype=np.float32)
    expected = np.asarray(nib.load(files['seg']).dataobj)
    rewrite(files['seg'], lambda array: (array * 0.9998).astype(np.float32))
    convert_folder(tmp_path / 'source', tmp_path / 'store')
    seg = StoredCase(case_path(tmp_path / 'store', 'a')).read_seg()
    np.testing.assert_array_equal(seg, np.moveaxis(np.where(expected == 4, 3, expected), 2, 0))


def test_labels_that_were_saved_as_scaled_integers_are_read_and_written(tmp_path):
    files = write_synthetic_case(tmp_path / 'source', 'a', '2021')
    image = nib.load(files['seg'])
    expected = np.array(image.dataobj)
    scaled = nib.Nifti1Image(expected.astype(np.float64), image.affine)
    scaled.header.set_data_dtype(np.uint8)
    scaled.to_filename(files['seg'])
    assert abs(nib.load(files['seg']).get_fdata() - expected).max() > 1e-3  # 2 is 1.992 now
    convert_folder(tmp_path / 'source', tmp_path / 'store')
    stored = StoredCase(case_path(tmp_path / 'store', 'a'))
    np.testing.assert_array_equal(stored.read_seg(), np.moveaxis(np.where(expected == 4, 3, expected), 2, 0))
    stored.write_nifti(stored.read_seg(), tmp_path / 'back.nii.gz')
    np.testing.assert_array_equal(nib.load(tmp_path / 'back.nii.gz').get_fdata(), expected)


def test_names_in_splits_that_the_store_has_not_are_said(tmp_path, capfd):
    source, store = make_set(tmp_path / 'source', *'abc'), tmp_path / 'store'
    convert_folder(source, store)
    path = store / 'splits.json'
    path.write_text('\ufeff' + path.read_text().replace('"a"', '"a "'))  # as an editor saves it
    _, said = run_folder(source, store, capfd)
    assert "names 1 case that the store has not, which a training refuses: 'a '" in said
    assert where(store)['a']  # joined anew


@pytest.mark.parametrize('codes', ['RAS', 'LIA', 'PSR', 'SRP'])
def test_any_orientation_is_stored_alike_and_written_back_as_it_was(tmp_path, codes):
    store, orientation = tmp_path / 'store', nib.orientations.axcodes2ornt(codes)
    files = write_synthetic_case(tmp_path / 'source', 'lps')
    write_synthetic_case(tmp_path / 'source', 'turned')
    for name, path in files.items():
        image = nib.load(path)
        if name != 't1':  # one sequence may lie otherwise than the rest
            turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), orientation)
            image = image.as_reoriented(turn)
        nib.save(image, str(path).replace('lps', 'turned'))
    convert_folder(tmp_path / 'source', store)
    one, other = (StoredCase(case_path(store, case)) for case in ('lps', 'turned'))
    for expected, found in zip(one.read_volume(MODALITIES), other.read_volume(MODALITIES), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert one.spacing == other.spacing and one.scan == other.scan
    other.write_nifti(other.read_seg(), tmp_path / 'seg.nii.gz')
    expected, written = (
        nib.load(str(files['seg']).replace('lps', 'turned')),
        nib.load(tmp_path / 'seg.nii.gz'),
    )
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(expected.dataobj))
    assert written.header.binaryblock == expected.header.binaryblock


def test_what_is_unusual_of_volumes_is_said(tmp_path, capfd):
    angle = np.radians(10)
    affine = LPS.copy()
    affine[:2, :2] = [[-np.cos(angle), np.sin(angle)], [-np.sin(angle), -np.cos(angle)]]
    write_synthetic_case(tmp_path / 'source', 'oblique', affine=affine)
    for path in write_synthetic_case(tmp_path / 'source', 'full', seed=1).values():
        rewrite(path, lambda array: array[10:20, 12:28, 8:16], affine=LPS)
    write_synthetic_case(tmp_path / 'source', 'large', seed=2, affine=LPS @ np.diag([1, 1, 5, 1]))
    _, said = run_folder(tmp_path / 'source', tmp_path / 'store', capfd)
    assert re.search('In 1 case the axes lie oblique.*: oblique', said)
    assert re.search('In 1 case nearly the whole box counts as brain.*: full', said)
    assert re.search('In 1 case the voxels are not of 1 mm.*nothing is resampled.*: large', said)


def test_one_image_under_two_sequences_is_said(tmp_path, capfd):
    files = write_synthetic_case(tmp_path / 'source', 'twice')
    shutil.copy(files['t1'], files['t1ce'])
    assert run_folder(tmp_path / 'source', tmp_path / 'store', capfd)[1].count('are the same image') == 1
    _, said = run_folder(make_set(tmp_path / 'other', 'usual'), tmp_path / 'fine', capfd)
    assert 'same image' not in said


def test_masks_of_the_whole_tumour_are_no_core_until_it_is_said(tmp_path, monkeypatch, capfd):
    source, store = make_set(tmp_path / 'source', 'a', 'b'), tmp_path / 'store'
    for path in source.rglob('*_seg.nii.gz'):
        rewrite(path, lambda array: (array > 0).astype(np.uint8))
    arguments = [source, '--out', store, '--workers', 1]
    assert run_tool(monkeypatch, *arguments) == 2
    assert 'All segmentations hold 1 alone, e.g. that of a' in capfd.readouterr().err and not store.exists()
    assert run_tool(monkeypatch, *arguments, '--labels', 'gli2021') == 0


def make_set(source, *cases):
    for case in cases:
        write_synthetic_case(source, case, seed=sum(case.encode()))
    return source


def where(store):
    """Return the split of each case."""
    splits = read_splits(store / 'splits.json')
    return {case: split for split in ('train', 'val', 'test', 'unlabelled') for case in splits[split]}


def test_a_case_that_became_bad_leaves_the_store_and_its_splits(tmp_path, capfd):
    source, store = make_set(tmp_path / 'source', *'abcde'), tmp_path / 'store'
    convert_folder(source, store)
    before = where(store)
    rewrite(source / 'b' / 'b_seg.nii.gz', put(7))
    shutil.rmtree(source / 'c')
    status, said = run_folder(source, store, capfd)
    assert status == dict(a='present', b='bad', d='present', e='present') and where(store) == before
    assert re.search(r'still holds what 1 bad cases were before: b\..*--skip-bad', said)
    assert re.search(r'holds 1 case that the source has not: c\..*--prune', said)
    _, said = run_folder(source, store, capfd, skip_bad=True)
    assert (
        'Removed from the store and its splits: b.' in said and '1 case that the source has not: c.' in said
    )
    assert where(store) == {case: split for case, split in before.items() if case != 'b'}
    assert sorted(path.stem for path in (store / 'cases').iterdir()) == list('acde')
    _, said = run_folder(source, store, capfd, skip_bad=True, prune=True)
    assert 'Removed from the store and its splits: c.' in said
    assert where(store) == {case: split for case, split in before.items() if case not in 'bc'}


def test_patients_of_several_collections_stay_in_one_split(tmp_path, capfd):
    source, store = tmp_path / 'source', tmp_path / 'store'
    names = [f'sub-{p:03d}_ses-{t}' for p in range(5) for t in range(2)]
    names += [f'UCSD-PTGBM-{p:04d}_{t:02d}' for p in range(5) for t in range(2)]
    for seed, name in enumerate(names):
        write_synthetic_case(source, name, shape=(16, 20, 12), seed=seed)
    _, said = run_folder(source, store, capfd, fractions=(0.4, 0.3, 0.3))
    assert 'Patients: 10 in 20 cases' in said and 'UCSD-PTGBM-0000 = UCSD-PTGBM-0000_00' in said
    split_of = where(store)
    assert len(set(split_of.values())) == 3
    assert all(split_of[one] == split_of[other] for one, other in zip(names[::2], names[1::2], strict=True))


def test_patients_by_a_pattern_or_a_table_are_remembered(tmp_path, monkeypatch, capfd):
    source, table = make_set(tmp_path / 'source', 'l1', 'r1', 'l2', 'r2'), tmp_path / 'table.csv'
    table.write_text('case,patient\nl1,p\nr1,p\nl2,q\nr2,q\n')
    for number, option in enumerate((['--patient-pattern', '[lr](.)'], ['--patients', table])):
        store = tmp_path / f'store{number}'
        arguments = [source, '--out', store, '--workers', 1, '--split', 0.5, 0.5, 0]
        assert run_tool(monkeypatch, *arguments, *option) == 0
        assert 'Patients: 2 in 4 cases' in capfd.readouterr().err
        split_of = where(store)
        assert split_of['l1'] == split_of['r1'] != split_of['l2'] == split_of['r2']
    make_set(source, 'm1')
    for number, message in enumerate(
        (r"pattern '\[lr\]\(\.\)' names no patient.*m1", r"--patients names no.*'m1'")
    ):
        assert run_tool(monkeypatch, source, '--out', tmp_path / f'store{number}', '--workers', 1) == 2
        assert re.search(message, capfd.readouterr().err)


def test_equal_scans_under_two_names_stay_in_one_split(tmp_path, capfd):
    """Also one whose intensities were scaled, one that was padded, and one that comes later."""
    source, store = tmp_path / 'source', tmp_path / 'store'
    for seed in range(6):
        write_synthetic_case(source, f'BraTS2021_0000{seed}', '2021', seed=seed)
        files = write_synthetic_case(source, f'BraTS-GLI-1000{seed}-000', '2023', seed=seed)
        if seed == 1:
            for name in MODALITIES:
                rewrite(files[name], lambda array: (array * 0.37 - 11).astype(np.float32))
        if seed == 2:
            for path in files.values():
                rewrite(path, lambda array: np.pad(array, ((3, 1), (0, 2), (5, 0))))
    _, said = run_folder(source, store, capfd, fractions=(0.5, 0.3, 0.2))
    assert '6 scans have several names' in said and 'BraTS-GLI-10000-000, BraTS2021_00000' in said
    split_of = where(store)
    assert len(set(split_of.values())) == 3
    pairs = [(f'BraTS2021_0000{seed}', f'BraTS-GLI-1000{seed}-000') for seed in range(6)]
    assert all(split_of[one] == split_of[other] for one, other in pairs)

    write_synthetic_case(source, 'again', '2021', seed=3)
    convert_folder(source, store, fractions=(0.5, 0.3, 0.2))
    assert where(store) == split_of | dict(again=split_of['BraTS2021_00003'])


def test_equal_scans_that_stand_in_two_splits_from_before_are_an_error(tmp_path):
    source, store = make_set(tmp_path / 'source', *'abc'), tmp_path / 'store'
    write_synthetic_case(source, 'd', seed=sum(b'a'))
    (store / 'cases').mkdir(parents=True)
    (store / 'splits.json').write_text(json.dumps(dict(seed=0, train=['a'], val=['d'], test=['b'])))
    with pytest.raises(ValueError, match=r"'a' and 'd', which are one scan\); keep a patient in one split"):
        convert_folder(source, store)


def test_a_name_that_is_not_utf_8_is_a_bad_case(tmp_path):
    source = make_set(tmp_path / 'source', 'a')
    for path in list((source / 'a').iterdir()):
        odd = os.fsencode(path).replace(b'/a_', b'/odd\xff_')
        Path(os.fsdecode(odd)).write_bytes(path.read_bytes())
    done = subprocess.run(
        [sys.executable, str(TOOL), str(source), '--out', str(tmp_path / 'store'), '--workers', '1'],
        capture_output=True,
        env=os.environ | dict(PYTHONPATH=str(TOOL.parents[2]), PYTHONIOENCODING='ascii'),
    )
    assert done.returncode == 1 and b'Traceback' not in done.stderr
    assert b'odd' in done.stderr and b'cannot be the id of a case' in done.stderr
    assert b'1 converted, 0 already there, 1 bad' in done.stdout


def test_links_that_lead_back_up_are_named_and_not_followed(tmp_path, capfd):
    source = make_set(tmp_path / 'outer' / 'source', 'a')
    for name, target in (
        ('up', source),
        ('out', tmp_path / 'outer'),
        ('root', '/'),
        ('self', source / 'self'),
    ):
        (source / name).symlink_to(target)
    make_set(tmp_path / 'elsewhere', 'b')
    (source / 'elsewhere').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'elsewhere' / 'back').symlink_to(source)
    status, said = run_folder(source, tmp_path / 'store', capfd)
    assert status == dict(a='converted', b='converted')
    assert said.count('leads back up and is not followed') >= 3 and f'{source}/root' in said


def test_a_folder_that_cannot_be_read_is_bad(tmp_path, monkeypatch, capfd):
    source, scandir = make_set(tmp_path / 'source', 'a', 'b'), os.scandir

    def deny(path):
        if Path(path).name == 'b':
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', deny)
    status, said = run_folder(source, tmp_path / 'store', capfd)
    assert status == dict(a='converted', b='bad')
    assert 'BAD b: the folder cannot be read: Permission denied' in said


@pytest.mark.parametrize(('name', 'expected'), [
    ('labels/a.nii.gz', True), ('a/a_Segmentation.nii.gz', True), ('masks/a-label.nii', True),
    ('a/W39_1998.09.19_Segm.nii', True), ('a/a_brain_mask.nii.gz', False), ('a/a_adc.nii.gz', False),
])  # fmt: skip
def test_what_may_be_the_segmentation_that_a_case_lacks_is_named(tmp_path, capfd, name, expected):
    files = write_synthetic_case(tmp_path / 'source', 'a')
    (tmp_path / 'source' / name).parent.mkdir(exist_ok=True)
    files['seg'].rename(tmp_path / 'source' / name)
    status, said = run_folder(tmp_path / 'source', tmp_path / 'store', capfd)
    assert status == dict(a='converted') and where(tmp_path / 'store') == dict(a='unlabelled')
    assert (
        bool(re.search(rf'WARNING a has no segmentation, but \S+{name} may be one.*a_seg', said)) == expected
    )


def test_a_segmentation_in_another_folder_is_found(tmp_path):
    files = write_synthetic_case(tmp_path / 'source' / 'images', 'a')
    (tmp_path / 'source' / 'labels').mkdir()
    files['seg'].rename(tmp_path / 'source' / 'labels' / files['seg'].name)
    convert_folder(tmp_path / 'source', tmp_path / 'store')
    assert StoredCase(case_path(tmp_path / 'store', 'a')).has_seg


def test_a_case_that_its_process_dies_of_is_named(tmp_path, monkeypatch, capfd):
    convert = converter.convert_case

    def dying(case, **options):
        if case.case == 'c':
            os.kill(os.getpid(), signal.SIGKILL)
        return convert(case, **options)

    monkeypatch.setattr(dying, '__qualname__', 'convert_case')
    monkeypatch.setattr(dying, '__module__', converter.__name__)
    monkeypatch.setattr(converter, 'convert_case', dying)
    status, said = run_folder(make_set(tmp_path / 'source', *'abcde'), tmp_path / 'store', capfd, workers=2)
    assert status == dict(a='converted', b='converted', c='bad', d='converted', e='converted')
    assert 'BAD c: its process was killed, perhaps for want of memory' in said


@pytest.mark.parametrize('place', ['store', 'store/cases'])
def test_a_store_that_cannot_be_made_is_one_sentence(tmp_path, monkeypatch, capsys, place):
    make_set(tmp_path / 'source', 'a')
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text('a file')
    assert run_tool(monkeypatch, tmp_path / 'source', '--out', tmp_path / 'store', '--workers', 1) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(
        r"Error: (\S+store cannot be written: .+|--out is '\S+store', but '\S+' is a file: .+)", last
    )


def test_a_store_without_a_good_case_is_no_success(tmp_path, monkeypatch):
    truncate(write_synthetic_case(tmp_path / 'source', 'bad')['t1'])
    arguments = [tmp_path / 'source', '--out', tmp_path / 'store', '--workers', 1]
    assert run_tool(monkeypatch, *arguments) == 1
    assert run_tool(monkeypatch, *arguments, '--skip-bad') == 2


def test_cases_may_lack_sequences_where_that_is_allowed(tmp_path, monkeypatch, capfd):
    source, store = tmp_path / 'in', tmp_path / 'store'
    whole, lacking = (write_synthetic_case(source, name, seed=seed) for seed, name in enumerate('ab'))
    call = (source, '--out', store, '--workers', 1)
    content = lacking['t1'].read_bytes()
    lacking['t1'].unlink()
    assert run_tool(monkeypatch, *call) == 1  # not unless it is asked for
    assert run_tool(monkeypatch, *call, '--allow-missing') == 0
    said = capfd.readouterr()
    assert 'WARNING 1 of 2 cases lack t1: b.' in said.err
    assert '1 converted, 1 already there, 0 bad, 1 without all sequences' in said.out

    case = StoredCase(case_path(store, 'b'))
    assert case.modalities == ('flair', 't1ce', 't2')
    image, _ = case.read_volume(MODALITIES)
    expected = normalise(
        read_case(find_cases(source, True).cases[1], CONVENTIONS['gli2021']).image, case.modalities
    )[0]
    np.testing.assert_array_equal(image[[0, 1, 3]], expected.astype(np.float16).astype(np.float32))
    assert not image[2].any()
    z = int(case.tumour_slices[0])
    np.testing.assert_array_equal(case.read_slice(z, ('t1', 't2'))[0], image[[2, 3], z])

    assert run_tool(monkeypatch, *call, '--allow-missing') == 0
    assert '0 converted, 2 already there, 0 bad, 1 without all sequences' in capfd.readouterr().out
    assert run_tool(monkeypatch, *call) == 1  # a run that doesn't take them leaves what is there
    assert 'WARNING The store still holds what 1 bad cases were before: b' in capfd.readouterr().err
    assert case_path(store, 'b').exists()

    lacking['t1'].write_bytes(content)  # it has come in
    assert run_tool(monkeypatch, *call, '--allow-missing') == 0
    assert '1 converted, 1 already there, 0 bad: ' in capfd.readouterr().out
    assert StoredCase(case_path(store, 'b')).modalities == MODALITIES
    whole['flair'].unlink()
    assert run_tool(monkeypatch, *call, '--skip-bad') == 0
    splits = read_splits(store / 'splits.json')
    assert [case for key in SPLITS for case in splits[key]] == ['b']


def test_a_case_without_any_sequence_stays_bad(tmp_path, capfd):
    write_synthetic_case(tmp_path / 'in', 'a')
    files = write_synthetic_case(tmp_path / 'in', 'b', seed=1)
    for name in MODALITIES:
        files[name].unlink()
    found, said = run_folder(tmp_path / 'in', tmp_path / 'store', capfd, allow_missing=True)
    assert found == dict(a='converted', b='bad') and 'BAD b: lacks b_flair.nii.gz' in said
