"""Data sets inside of MMEngine's wrappers train as they do alone."""

import numpy as np
import pytest

from mmcggm.datasets import FeatureDataset
from mmcggm.engine import BalancedRunner, DataCheckHook, StandardisationHook
from mmcggm.engine.wrapped_data import inner_datasets
from mmcggm.models import MultimodalDataPreprocessor
from tests.formats.features import CHANNELS, arrays, write
from tests.tiny import Accuracy, TinyData, build_wrapper, tiny_guided, tiny_runner

SPLIT = dict(splits='all.npz:split')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('features')
    write(folder / 'all.npz', arrays())
    return folder


def features(root, split='train', **changes) -> dict:
    settings = dict(
        type='FeatureDataset',
        data_root=str(root),
        inputs={modality: f'all.npz:{modality}' for modality in CHANNELS},
        labels='all.npz:label',
        classes=3,
        split=split,
        **SPLIT,
    )
    return {**settings, **changes}


def built(folder, dataset: dict, **settings):
    """Return a runner with this training set and a preprocessor that standardises, and what hooks find."""
    model = tiny_guided()
    model.preprocessor = MultimodalDataPreprocessor(standardise=True)
    loader = dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    runner = tiny_runner(folder, model=model, train_dataloader=dict(loader, dataset=dataset), **settings)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    return runner


def statistics(runner) -> list[np.ndarray]:
    """Return mean and deviation of each modality, as the hook finds them."""
    StandardisationHook().before_run(runner)
    found = runner.model.preprocessor
    return [getattr(found, f'{kind}_{m}').numpy() for m in CHANNELS for kind in ('mean', 'std')]


@pytest.mark.parametrize('times', [1, 3])
def test_what_is_repeated_counts_once(root, tmp_path, times):
    alone = statistics(built(tmp_path, features(root)))
    dataset = dict(type='RepeatDataset', dataset=features(root), times=times)
    for a, b in zip(statistics(built(tmp_path, dataset)), alone, strict=True):
        assert np.array_equal(a, b)


def test_what_is_joined_has_the_statistics_of_all(root, tmp_path):
    parts = [features(root), dict(type='RepeatDataset', dataset=features(root, 'val'), times=2)]
    found = statistics(built(tmp_path, dict(type='ConcatDataset', datasets=parts)))
    rows = np.isin(arrays()['split'], ['train', 'val'])
    expected = [f for m in CHANNELS for f in (arrays()[m][rows].mean(0), arrays()[m][rows].std(0))]
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a, b, atol=1e-5)


def test_classes_are_balanced_and_batches_are_whole(root, tmp_path):
    dataset = dict(type='ClassBalancedDataset', dataset=features(root), oversample_thr=0.9)
    runner = built(tmp_path, dataset)
    batch = next(iter(runner.train_loop.dataloader))
    assert set(batch['inputs']) == set(CHANNELS) and len(batch['labels']) == 4
    (inner,) = inner_datasets(runner.train_loop.dataloader.dataset)
    labels = [int(item['labels']) for item in inner]
    assert [inner.get_cat_ids(place) for place in range(len(inner))] == [[label] for label in labels]
    several = FeatureDataset(
        **{k: v for k, v in features(root).items() if k != 'type'}
        | dict(labels='all.npz:left', target='regression', classes=None)
    )
    with pytest.raises(ValueError, match='A regression has no classes to balance'):
        several.get_cat_ids(0)


def test_rows_that_are_repeated_in_training_may_not_validate(root, tmp_path):
    loader = dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    whole = features(root, None, splits=None)
    for train in (whole, dict(type='RepeatDataset', dataset=whole, times=2)):
        val = dict(loader, dataset=features(root, 'val'))
        runner = built(tmp_path, train, val_dataloader=val, val_cfg=dict(), val_evaluator=[Accuracy()])
        runner._val_loop = runner.build_val_loop(runner._val_loop)
        with pytest.raises(ValueError, match=r"are in the splits 'None' and 'val'"):
            DataCheckHook().before_train(runner)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [(dict(batch_size=0), 'got 0'), (dict(batch_size='16'), "got '16'"), (dict(batch_size=None), 'got None')],
)
def test_batches_without_a_size_are_refused(tmp_path, settings, message):
    loader = dict(num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=TinyData())
    with pytest.raises(ValueError, match=f'`batch_size` of a data loader must be .* {message}'):
        BalancedRunner.build_dataloader(loader | settings)


def test_without_workers_none_persist():
    loader = dict(batch_size=4, num_workers=0, persistent_workers=True, dataset=TinyData())
    sampler = dict(type='DefaultSampler', shuffle=False)
    assert not BalancedRunner.build_dataloader(dict(loader, sampler=sampler)).persistent_workers


def test_lbfgs_is_refused():
    with pytest.raises(ValueError, match=r'is LBFGS.* loop of your own'):
        build_wrapper(tiny_guided(), optimizer=dict(type='LBFGS'))
