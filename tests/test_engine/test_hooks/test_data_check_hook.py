import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, InfiniteSampler
from torch import nn
from torch.utils.data import DataLoader

from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.engine import DataCheckHook
from mmcggm.evaluation import BraTSMetric
from mmcggm.registry import TRANSFORMS
from tests.segmentors import small_unet


def runner_of(model, metainfo):
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=metainfo))
    return SimpleNamespace(
        model=model,
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        val_evaluator=SimpleNamespace(metrics=[]),
        test_evaluator=SimpleNamespace(metrics=[]),
        val_loop=object(),
        cfg={},
    )


@pytest.mark.parametrize('name', ['gli2021', 'ped2023', 'menrt2024'])
@pytest.mark.parametrize('moment', ['train', 'val', 'test'])
def test_a_network_that_tells_the_classes_runs(name, moment):
    runner = runner_of(small_unet(), CONVENTIONS[name].scheme.metainfo)
    getattr(DataCheckHook(), f'before_{moment}')(runner)
    getattr(DataCheckHook(), f'before_{moment}')(runner_of(small_unet(), {}))


@pytest.mark.parametrize('moment', ['train', 'val', 'test'])
def test_a_network_with_fewer_classes_than_the_labels_names_the_setting(moment):
    message = (
        r'`num_classes` of model\.decode_head is 4, but the data of '
        rf'`{moment}_dataloader` have 5 classes: .*resection cavity.*`num_classes=5`'
    )
    with pytest.raises(ValueError, match=message):
        getattr(DataCheckHook(), f'before_{moment}')(
            runner_of(small_unet(), CONVENTIONS['gli2024'].scheme.metainfo)
        )


def test_a_guide_with_fewer_classes_is_named():
    model = small_unet()
    model.model.decode_head.num_classes = 5
    with pytest.raises(ValueError, match=r'`num_classes` of guides\..* is 4'):
        DataCheckHook().before_train(runner_of(model, CONVENTIONS['gli2024'].scheme.metainfo))


def test_a_group_in_training_and_validation_is_named():
    runner = runner_of(small_unet(), {})
    groups = {'train_dataloader': {'anna', 'bert'}, 'val_dataloader': {'bert', 'carl'}}
    for name, found in groups.items():
        setattr(runner, name, SimpleNamespace(dataset=SimpleNamespace(metainfo={}, group_names=found)))
    with pytest.raises(ValueError, match=r"1 groups .* among them 'bert'"):
        DataCheckHook().before_train(runner)
    runner.val_loop = None
    DataCheckHook().before_train(runner)


def test_a_row_in_training_and_validation_is_named():
    runner = runner_of(small_unet(), {})

    def set_rows(name, rows, **changes):
        found = dict(metainfo={}, origin='y.npy', split=name, data_list=np.array(rows)) | changes
        setattr(runner, f'{name}_dataloader', SimpleNamespace(dataset=SimpleNamespace(**found)))

    set_rows('train', [0, 1, 2])
    for rows, changes in (([3, 4], {}), ([2], dict(origin='z.npy')), ([2], dict(split='train'))):
        set_rows('val', rows, **changes)
        DataCheckHook().before_train(runner)
    set_rows('val', [5, 2])
    with pytest.raises(ValueError, match=r"1 rows of y\.npy are in the splits 'train' and 'val', .*\[2\]"):
        DataCheckHook().before_train(runner)


def test_a_brain_tumour_case_in_training_and_validation_is_named(brats_store, tmp_path):
    def check(train, val):
        runner = runner_of(small_unet(), {})
        for name, settings in dict(train=train, val=val).items():
            dataset = BraTSDataset(**{**dict(data_root=str(brats_store), sample='volume'), **settings})
            setattr(runner, f'{name}_dataloader', SimpleNamespace(dataset=ConcatDataset([dataset])))
        DataCheckHook().before_train(runner)

    other = shutil.copy(brats_store / 'splits.json', tmp_path)
    check(dict(split='train'), dict(split='val'))
    check(dict(split='all'), dict(split=['test', 'val', 'train']))  # of one set, as is then plain
    for train, val in [
        (dict(split='all'), dict(split='val')),
        (dict(split='val', sample='patch'), dict(split=['test', 'val'])),
        (dict(split='val'), dict(split='val', splits_file=other)),
    ]:
        with pytest.raises(
            ValueError, match=r'1 cases .* `train_dataloader` and .* `val_dataloader`, such as'
        ):
            check(train, val)


@pytest.mark.parametrize('moment', ['train', 'val', 'test'])
def test_cases_that_cannot_be_scored_are_named_before_any_is_predicted(brats_store, moment):
    runner = runner_of(small_unet(), {})
    key = 'test' if moment == 'test' else 'val'
    dataset = BraTSDataset(str(brats_store), split='all', sample='volume')
    setattr(runner, f'{key}_dataloader', SimpleNamespace(dataset=dataset))
    getattr(DataCheckHook(), f'before_{moment}')(runner)  # nothing scores
    setattr(runner, f'{key}_evaluator', SimpleNamespace(metrics=[BraTSMetric()]))
    with pytest.raises(
        ValueError, match=rf"`{key}_dataloader` could score.*'BraTS-GLI-00004-000'.*--format-only"
    ):
        getattr(DataCheckHook(), f'before_{moment}')(runner)


def test_volumes_that_are_not_padded_for_the_network_are_named_before_training(brats_store):
    runner = runner_of(small_unet(), {})  # of three stages
    for divisor in (4, 8, 6):
        step = TRANSFORMS.build(dict(type='LoadBraTSVolume', size_divisor=divisor))
        dataset = BraTSDataset(str(brats_store), split='val', sample='volume', pipeline=[step])
        runner.val_dataloader = SimpleNamespace(dataset=dataset)
        with (
            nullcontext() if divisor % 4 == 0 else pytest.raises(ValueError, match=r'is 6, .* multiple of 4')
        ):
            DataCheckHook().before_train(runner)


@pytest.mark.parametrize(
    ('samples', 'settings', 'message'),
    [
        (
            9,
            dict(batch_size=4),
            r'one sample.*batch norm of model\.pool .*`train_dataloader\.drop_last=True`',
        ),
        (3, dict(batch_size=1), 'one sample'),
        (9, dict(batch_size=4, drop_last=True), None),
        (8, dict(batch_size=4), None),
        (9, dict(batch_size=4, sampler=InfiniteSampler(range(9))), None),
    ],
)
def test_a_batch_of_one_sample_is_named_where_a_norm_sees_one_value_of_it(samples, settings, message):
    runner = runner_of(small_unet(), {})
    runner.train_dataloader = DataLoader(range(samples), **settings)
    DataCheckHook().before_train(runner)  # instance norms take a single sample
    runner.model.model.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        DataCheckHook().before_train(runner)


def test_labels_that_mean_something_else_than_the_checkpoints_are_refused():
    runner, hook = runner_of(small_unet(), CONVENTIONS['gli2023'].scheme.metainfo), DataCheckHook()
    for name, message in [('gli2023', None), ('ped2023', None), ('ped2024', 'one number means two tissues')]:
        meta = dict(dataset_meta=CONVENTIONS[name].scheme.metainfo)
        hook.after_load_checkpoint(runner, dict(meta=meta))
        with pytest.raises(ValueError, match=message) if message else nullcontext():
            hook.before_test(runner)
    hook.before_train(runner)  # a training that begins with these weights learns the labels of its data
    hook.before_test(runner)
    hook.after_load_checkpoint(
        runner, dict(meta=dict(dataset_meta=None))
    )  # of no data set, as far as it says
    hook.before_test(runner)


@pytest.mark.parametrize('key', ['val_dataloader', 'test_dataloader'])
@pytest.mark.parametrize(
    'changed', [dict(seed=1), dict(splits=dict(train=0.7, test=0.3)), dict(groups='subject.npy')]
)
def test_splits_are_drawn_alike(key, changed):
    runner = runner_of(small_unet(), {})
    drawn = dict(labels='y.npy', splits=dict(train=0.6, test=0.4))
    runner.cfg = dict(train_dataloader=dict(dataset=drawn), val_dataloader=dict(dataset=dict(drawn, seed=0)))
    DataCheckHook().before_train(runner)
    runner.cfg[key] = dict(dataset=dict(drawn, **changed))
    with pytest.raises(ValueError, match=rf'`{next(iter(changed))}` is .* in `{key}\.dataset`.*alike'):
        DataCheckHook().before_train(runner)
    runner.cfg[key] = dict(dataset=dict(drawn, **changed, data_root='elsewhere'))
    DataCheckHook().before_train(runner)  # other files, so other rows
