import csv
import json
import os
import runpy
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import find_objects

from tests.test_evaluation.test_brats.samples import cube
from tests.tool import exit_status

pytest.importorskip('panoptica')
if find_spec('brats_evaluation') is None:
    pytest.skip('BraTS-evaluation is not installed', allow_module_level=True)
ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get('MMCGGM_TEST_DATA', ROOT.parent / 'shared' / 'data')) / 'brats'
TOOL = runpy.run_path(str(ROOT / 'tools' / 'analysis_tools' / 'challenge_score.py'))


def run(arguments: list[str]) -> int:
    """Return the exit status of the tool."""
    return exit_status(lambda: TOOL['main'](arguments), status_of_errors=2)


AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


def save(path, labels, et_label):
    """Write training labels (D, H, W) with ``et_label`` for the enhancing tumour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    on_disk = np.array([0, 1, 2, et_label], dtype=np.uint8)[np.moveaxis(labels, 0, 2)]
    nib.save(nib.Nifti1Image(on_disk, AFFINE), path)


def nested(shift=0, enhancing=3):
    """Return an edema with a core and an enhancing part."""
    labels = cube(2, (4, 4, 4), side=12)
    labels[6:14, 6:14, 6:14] = 1
    labels[8:12, 8:12, 8:12] = enhancing
    return np.roll(labels, shift, axis=1)


@pytest.fixture
def folders(tmp_path):
    """Cases with each kind of empty region, in both namings."""
    empty = np.zeros((24, 24, 24), dtype=np.uint8)
    pairs = dict(
        moved=(nested(3), nested()),
        no_enhancing=(nested(1, enhancing=1), nested(enhancing=1)),
        missed=(nested(2, enhancing=1), nested()),
        invented=(nested(2), nested(enhancing=1)),
        apart=(cube(3, (0, 0, 0), side=4), cube(3, (16, 16, 16), side=4)),
        nothing=(empty, nested()),
    )
    for index, (case, (pred, truth)) in enumerate(pairs.items()):
        mark, et_label = ('_', 4) if index % 2 else ('-', 3)
        save(tmp_path / 'pred' / f'{case}.nii.gz', pred, et_label)
        save(tmp_path / 'ref' / case / f'{case}{mark}seg.nii.gz', truth, et_label)
    return tmp_path


def test_agrees_on_every_kind_of_region(folders, capsys):
    out = folders / 'out'
    arguments = [str(folders / 'pred'), '--ref', str(folders / 'ref')]
    assert run([*arguments, '--json', str(out / 'a.json'), '--csv', str(out / 'a.csv')]) == 0
    assert 'All 18 rows agree' in capsys.readouterr().out
    rows = {(row['case'], row['region']): row for row in json.loads((out / 'a.json').read_text())}
    assert rows['moved', 'WT']['Dice_theirs'] == pytest.approx(9 / 12)
    assert rows['no_enhancing', 'ET']['Dice_theirs'] is None
    for case in ('missed', 'invented', 'apart', 'nothing'):
        assert (rows[case, 'ET']['Dice_theirs'], rows[case, 'ET']['HD95_theirs']) == (0, 373)
    with (out / 'a.csv').open(newline='') as file:
        assert len(list(csv.DictReader(file))) == 18


def test_agrees_on_real_segmentations(tmp_path):
    sources = sorted(DATA.rglob('*seg.nii.gz'))
    if not sources:
        pytest.skip(f'no BraTS data in {DATA}')
    for source in sources:
        case = source.name[: -len('-seg.nii.gz')]
        array = np.asarray(nib.load(source).dataobj)
        (box,) = find_objects((array > 0).astype(int))
        truth = np.moveaxis(np.pad(array[box], 4), 2, 0)
        truth[truth == 4] = 3
        save(tmp_path / 'ref' / source.name, truth, 3)
        save(tmp_path / 'pred' / f'{case}.nii.gz', np.roll(truth, (1, -3, 2), axis=(0, 1, 2)), 4)
    arguments = [str(tmp_path / 'pred'), '--ref', str(tmp_path / 'ref')]
    assert run([*arguments, '--pred-labels', 'gli2021']) == 0


def test_difference_exits_with_1(folders, monkeypatch, capsys):
    def run_scorer(folder, config):
        figures = {
            f'global_{metric}_{region}': '0.5' for metric in ('dsc', 'hd95') for region in ('wt', 'tc', 'et')
        }
        return {path.name: figures for path in (folder / 'pred').iterdir()}

    monkeypatch.setitem(TOOL['compare'].__globals__, 'run_scorer', run_scorer)
    assert run([str(folders / 'pred'), '--ref', str(folders / 'ref')]) == 1
    assert '18 of 18 rows differ' in capsys.readouterr().out


def test_undefined_on_one_side_is_a_difference():
    assert TOOL['agree'](dict(Dice_difference=0.0, HD95_difference=5e-4))
    assert not TOOL['agree'](dict(Dice_difference=float('nan'), HD95_difference=0.0))
    assert not TOOL['agree'](dict(Dice_difference=2e-6, HD95_difference=0.0))


def test_errors_name_the_case(tmp_path, capsys):
    (tmp_path / 'pred').mkdir()
    arguments = [str(tmp_path / 'pred'), '--ref', str(tmp_path / 'ref')]
    assert run(arguments) == 2
    assert 'pred holds no .nii.gz' in capsys.readouterr().err
    save(tmp_path / 'pred' / 'x.nii.gz', nested(), 3)
    save(tmp_path / 'ref' / 'y_seg.nii.gz', nested(), 3)
    assert run(arguments) == 2
    assert "No reference of case 'x'" in capsys.readouterr().err
    save(tmp_path / 'ref' / 'x_seg.nii.gz', nested(), 3)
    save(tmp_path / 'ref' / 'x-seg.nii.gz', nested(), 3)
    assert run(arguments) == 2
    assert "Case 'x' needs one prediction and one reference" in capsys.readouterr().err


def test_references_are_found_as_the_converter_finds_cases(tmp_path):
    """Behind a link, and not in what macOS leaves beside a file."""
    save(tmp_path / 'pred' / 'x.nii.gz', nested(), 3)
    save(tmp_path / 'disk' / 'x' / 'x-seg.nii.gz', nested(), 3)
    (tmp_path / 'disk' / 'x' / '._x-seg.nii.gz').write_bytes(b'Mac OS X')
    (tmp_path / 'ref').mkdir()
    (tmp_path / 'ref' / 'x').symlink_to(tmp_path / 'disk' / 'x')
    found = TOOL['find_pairs'](tmp_path / 'pred', tmp_path / 'ref')
    assert found == {'x': (tmp_path / 'pred' / 'x.nii.gz', tmp_path / 'ref' / 'x' / 'x-seg.nii.gz')}


def test_labels_of_treated_gliomas_are_scored_with_their_cavity(tmp_path, capsys):
    truth = nested()
    truth[15, 4:8, 4:8] = 4
    pred = np.roll(truth, 1, axis=2)
    for folder, name, labels in (('pred', 'x', pred), ('ref', 'x-seg', truth)):
        (tmp_path / folder).mkdir()
        image = nib.Nifti1Image(np.moveaxis(labels, 0, 2), AFFINE)
        turned = image.as_reoriented([[1, -1], [0, 1], [2, 1]]) if folder == 'pred' else image
        nib.save(turned, tmp_path / folder / f'{name}.nii.gz')
    arguments = [str(tmp_path / 'pred'), '--ref', str(tmp_path / 'ref')]
    assert run(arguments) == 2
    assert 'holds label 4' in capsys.readouterr().err
    assert run([*arguments, '--labels', 'gli2023']) == 2
    assert 'those of gli2023 are' in capsys.readouterr().err
    assert run([*arguments, '--labels', 'gli2024', '--json', str(tmp_path / 'a.json')]) == 0
    rows = {row['region']: row for row in json.loads((tmp_path / 'a.json').read_text())}
    assert set(rows) == {'WT', 'TC', 'ET', 'RC'}
    assert rows['RC']['Dice_theirs'] == pytest.approx(0.75)


def test_predictions_that_lie_elsewhere_are_an_error(tmp_path, capsys):
    save(tmp_path / 'ref' / 'x-seg.nii.gz', nested(), 3)
    (tmp_path / 'pred').mkdir()
    shifted = AFFINE + np.array([[0, 0, 0, 1.0]] + [[0] * 4] * 3)
    nib.save(nib.Nifti1Image(np.moveaxis(nested(), 0, 2), shifted), tmp_path / 'pred' / 'x.nii.gz')
    assert run([str(tmp_path / 'pred'), '--ref', str(tmp_path / 'ref')]) == 2
    assert 'differ in their affine' in capsys.readouterr().err
