"""The phantom: BraTS' layout, determinism, anatomy and what each sequence shows."""

import json
import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mmcggm.datasets.brats import phantom
from mmcggm.datasets.brats import phantom_writer as write_phantoms
from mmcggm.datasets.brats.case_volumes import read_case
from mmcggm.datasets.brats.cases import MODALITIES, find_cases
from mmcggm.datasets.brats.label_conventions import DEFAULTS

REAL = Path(os.environ.get('MMCGGM_TEST_DATA', Path(__file__).parents[3] / '../shared/data')) / 'brats'
TIMES = st.floats(1, 1e4)
CASES = 2


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    pytest.importorskip('nilearn', reason='the phantom needs nilearn (extra `demo`)')
    dst = tmp_path_factory.mktemp('phantoms')
    assert write_phantoms.write_phantoms(dst, CASES, seed=4, workers=2) == (CASES, 0)
    return dst


@pytest.fixture(scope='module')
def volumes(folder):
    """What the project's own reader makes of the files: images (M, D, H, W) and training labels."""
    found = find_cases(folder)
    assert not found.bad
    assert not found.notes
    read = [read_case(case, DEFAULTS['2021']) for case in found.cases]
    names = [*MODALITIES, 'seg']
    return [dict(zip(names, (*case.image, case.seg), strict=True)) for case in read]


@pytest.fixture
def quick(monkeypatch):
    """For tests of the files alone: cases are one voxel of each label, made without the atlas."""
    seg = np.zeros(phantom.SHAPE, np.uint8)
    seg[100, 100, 70:73] = 1, 2, 3
    images = {name: (seg > 0).astype(np.int16) for name in phantom.SEQUENCES}
    monkeypatch.setattr(write_phantoms, 'load_anatomy', lambda: None)
    monkeypatch.setattr(write_phantoms, 'make_phantom', lambda seed, index: phantom.Phantom(images, seg))


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*.nii.gz')}


def test_layout(folder):
    for index in range(CASES):
        case = f'BraTSPhantom_{index:05d}'
        names = [f'{case}_{name}.nii.gz' for name in ('flair', 'seg', 't1', 't1ce', 't2')]
        assert sorted(path.name for path in (folder / case).iterdir()) == names
        for name in names:
            image = nib.load(folder / case / name)
            assert image.shape == (240, 240, 155)
            assert image.get_data_dtype() == (np.uint8 if 'seg' in name else np.int16)
            assert nib.aff2axcodes(image.affine) == ('L', 'P', 'S')
            assert image.header.get_zooms() == (1, 1, 1)
            assert image.header.get_xyzt_units()[0] == 'mm'
            assert b'phantom' in image.header['descrip'].item()
            assert np.asarray(image.dataobj).min() == 0
        labels = np.unique(nib.load(folder / case / f'{case}_seg.nii.gz').dataobj)
        assert set(labels) <= {0, 1, 2, 4} and 2 in labels


def test_geometry_is_that_of_a_real_case(folder):
    real = REAL / 'TCGA-FG-6692' / 'TCGA-FG-6692_t1.nii.gz'
    if not real.exists():
        pytest.skip(f'needs the real case {real}')
    image = nib.load(folder / 'BraTSPhantom_00000' / 'BraTSPhantom_00000_t1.nii.gz')
    np.testing.assert_array_equal(image.affine, nib.load(real).affine)
    assert image.get_data_dtype() == nib.load(real).get_data_dtype()
    # The brain also lies where a real one does.
    centres = [np.argwhere(np.asarray(each.dataobj) > 0).mean(axis=0) for each in (image, nib.load(real))]
    np.testing.assert_allclose(*centres, atol=12)


def test_a_case_depends_on_seed_and_index_alone(folder, volumes, tmp_path):
    write_phantoms.write_phantoms(tmp_path / 'fewer', 1, seed=4, workers=1)
    expected = {path: data for path, data in snapshot(folder).items() if '00000' in path.name}
    assert snapshot(tmp_path / 'fewer') == expected

    first, other = phantom.make_phantom(4, 0), phantom.make_phantom(5, 0)
    assert (first.seg != other.seg).any() and (first.images['t1'] != other.images['t1']).any()
    for name in ('seg', 't1'):
        one, two = (volume[name] for volume in volumes)
        assert one.shape != two.shape or (one != two).any()


def test_present_cases_are_kept(folder, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob('*')}
    monkeypatch.setattr(write_phantoms, 'make_phantom', None)  # must not be called
    assert write_phantoms.write_phantoms(folder, CASES, seed=4) == (0, CASES)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob('*')} == before


def test_an_interrupted_run_leaves_no_case_in_part(quick, tmp_path, monkeypatch):
    save, saved = nib.save, []

    def failing_save(image, path):
        if len(saved) == 7:
            raise OSError('disk full')
        saved.append(path)
        save(image, path)

    monkeypatch.setattr(write_phantoms.nib, 'save', failing_save)
    with pytest.raises(OSError, match='disk full'):
        write_phantoms.write_phantoms(tmp_path, 3, workers=1)
    found = find_cases(tmp_path)
    assert len(found.cases) == 1 and not found.bad

    monkeypatch.setattr(write_phantoms.nib, 'save', save)
    assert write_phantoms.write_phantoms(tmp_path, 3, workers=1) == (2, 1)
    names = [*(f'BraTSPhantom_{index:05d}' for index in range(3)), 'phantom.json']
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_an_incomplete_case_is_an_error_that_names_the_file(quick, tmp_path):
    (tmp_path / 'BraTSPhantom_00000').mkdir()
    with pytest.raises(FileExistsError, match=r'BraTSPhantom_00000 lacks BraTSPhantom_00000_flair\.nii\.gz'):
        write_phantoms.write_phantoms(tmp_path, 1)


@pytest.mark.parametrize(('naming', 'et_label'), [('2021', 4), ('2023', 3)])
def test_naming(quick, tmp_path, naming, et_label):
    write_phantoms.write_phantoms(tmp_path, 1, naming=naming)
    found = find_cases(tmp_path)
    (case,) = found.cases
    assert not found.bad
    assert case.naming == naming
    written = np.asarray(nib.load(case.files['seg']).dataobj)
    assert written[100, 100, 70:73].tolist() == [1, 2, et_label]


def test_description(folder):
    description = json.loads((folder / 'phantom.json').read_text(encoding='utf-8'))
    assert 'phantom' in description['what']
    assert description['seed'] == 4
    assert 'Permission to use' in description['anatomy']['licence']
    with pytest.raises(ValueError, match='another seed: choose another folder'):
        write_phantoms.write_phantoms(folder, 1, seed=3)
    with pytest.raises(ValueError, match='another naming, labels'):
        write_phantoms.write_phantoms(folder, 1, seed=4, naming='2023')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(cases=0), '`cases`'),
        (dict(cases=1, workers=0), '`workers`'),
        (dict(cases=1, seed=-1), '`seed`'),
        (dict(cases=1, naming='2019'), r"`naming` is '2019'; it must be one of"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_phantoms.write_phantoms(tmp_path / 'new', **arguments)
    assert not (tmp_path / 'new').exists()


def test_missing_nilearn_names_the_extra(tmp_path, monkeypatch):
    for module in ('nilearn', 'nilearn.datasets'):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(write_phantoms, 'load_anatomy', phantom.load_anatomy.__wrapped__)  # without its cache
    with pytest.raises(ImportError, match=r'mmcggm\[demo\]'):
        write_phantoms.write_phantoms(tmp_path / 'new', 1)
    assert not (tmp_path / 'new').exists()


def test_the_brain_is_stripped_and_holds_the_tumour(volumes):
    for volume in volumes:
        brain = np.any([volume[name] > 0 for name in phantom.SEQUENCES], axis=0)
        assert 1.0e6 < brain.sum() < 2.1e6  # mm³: a brain's size
        assert ndimage.label(brain)[1] == 1
        assert not brain[:, 0].any() and not brain[:, -1].any()
        assert not brain[:, :, 0].any() and not brain[:, :, -1].any()
        assert brain[volume['seg'] > 0].all()


def test_brains_and_tumours_differ(volumes):
    radii = [np.cbrt(3 / 4 / np.pi * (volume['seg'] > 0).sum()) for volume in volumes]
    assert all(8 < radius < 42 for radius in radii)
    assert max(radii) > 1.1 * min(radii)
    sizes = [(volume['t1'] > 0).sum() for volume in volumes]
    assert len(set(sizes)) == CASES
    gains = [np.median(volume['flair'][volume['flair'] > 0]) for volume in volumes]
    assert max(gains) > 1.2 * min(gains)


def test_sequences_tell_what_they_tell_in_reality(volumes):
    seen = set()
    for volume in volumes:
        seg = volume['seg']
        # Healthy tissue away from the sulci: its median is between white and grey matter.
        brain = ndimage.binary_erosion(volume['t1'] > 0, iterations=5)
        healthy = brain & ~ndimage.binary_dilation(seg > 0, iterations=4)
        normal = {name: np.median(volume[name][healthy]) for name in phantom.SEQUENCES}
        mean = {
            label: {name: volume[name][seg == label].mean() / normal[name] for name in phantom.SEQUENCES}
            for label in np.unique(seg[seg > 0])
        }
        seen |= set(mean)
        assert mean[phantom.EDEMA]['flair'] > 1.15
        assert mean[phantom.EDEMA]['t2'] > 1.15
        assert mean[phantom.EDEMA]['t1'] < 1.2
        if phantom.ENHANCING in mean:
            enhancing = mean[phantom.ENHANCING]
            assert enhancing['t1ce'] > 1.15
            assert enhancing['t1ce'] > 1.15 * max(enhancing['t1'], mean[phantom.EDEMA]['t1ce'])
        if phantom.NECROSIS in mean:
            necrosis, edema = mean[phantom.NECROSIS], mean[phantom.EDEMA]
            assert necrosis['flair'] < edema['flair']
            assert necrosis['t1'] < edema['t1']
            assert necrosis['t2'] > edema['t2']
    assert seen == {1, 2, 3}  # else the two conditions above checked nothing


@given(tr=TIMES, te=TIMES, t1=TIMES, t2=TIMES, agent=st.floats(0, 5))
def test_signal(tr, te, t1, t2, agent):
    tissue = phantom.Tissue(0.8, t1, t2, agent)
    plain = phantom.signal(tissue, tr, te)
    assert 0 <= plain <= 0.8
    assert phantom.signal(tissue, tr, te, agent=True) >= plain - 1e-12  # faster recovery: brighter
    assert phantom.signal(tissue, 2 * tr, te) >= plain - 1e-12
    assert phantom.signal(tissue, tr, 2 * te) <= plain
    null = np.log(2 / (1 + np.exp(-tr / t1))) * t1
    assert phantom.signal(tissue, tr, te, ti=null) == pytest.approx(0, abs=1e-9)


@settings(max_examples=20)
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    scale=st.floats(2, 50),
    seed=st.integers(0, 99),
)
def test_smooth_field(shape, scale, seed):
    field = phantom.smooth_field(np.random.default_rng(seed), shape, scale)
    assert field.shape == shape
    assert field.dtype == np.float32
    for axis in range(3):  # smooth: neighbours differ by a fraction of a standard deviation
        steps = np.diff(field, axis=axis)
        assert steps.size == 0 or np.abs(steps).max() < 8 / scale
    again = phantom.smooth_field(np.random.default_rng(seed), shape, scale)
    np.testing.assert_array_equal(field, again)


def test_smooth_field_is_standard_normal_everywhere():
    rng = np.random.default_rng(0)
    fields = np.stack([phantom.smooth_field(rng, (9, 8, 7), 5) for _ in range(2000)])
    np.testing.assert_allclose(fields.mean(axis=0), 0, atol=0.12)
    np.testing.assert_allclose(fields.std(axis=0), 1, atol=0.1)
