"""A training that was interrupted anywhere goes on as if it had not been, to the last bit."""

import random
import shutil
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcggm.engine.resumable_data import PlacedIndex, SeededDataset
from mmcggm.registry import DATA_SAMPLERS
from tests.faults.trainings import BATCHES, EPOCHS, GUIDED, RandomData, loader
from tests.tiny import Accuracy, TinyData, tiny_runner, wrapper_config

TIMES = ('time', 'data_time', 'memory')
UNBALANCED = wrapper_config(balancer=None)


class Watch(Hook):
    """Keeps what the model was given."""

    def __init__(self) -> None:
        self.inputs: list[torch.Tensor] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        self.inputs.append(data_batch['left'])


@DATA_SAMPLERS.register_module()
class BatchSampler(torch.utils.data.BatchSampler):
    """PyTorch's, whose config says whether the last batch is dropped."""


@DATA_SAMPLERS.register_module()
class BucketSampler(torch.utils.data.Sampler):
    """Yields batches of even and of odd indices as they fill up, whose number differs from pass to pass."""

    def __init__(self, sampler, batch_size: int) -> None:
        self.sampler, self.batch_size = sampler, batch_size

    def __len__(self) -> int:
        return len(self.sampler) // self.batch_size

    def __iter__(self):
        buckets: list[list[int]] = [[], []]
        for index in self.sampler:
            bucket = buckets[index % 2]
            bucket.append(index)
            if len(bucket) == self.batch_size:
                yield bucket[:]
                bucket.clear()


class Killed(Exception):
    """Ends a training without any of what it does at its end."""


class Killer(Hook):
    """Ends the training once a number of iterations is done and saved, or in the validation after it."""

    priority = 'LOWEST'

    def __init__(self, iteration: int, stage: str = 'iteration') -> None:
        self.iteration = iteration
        self.stage = stage

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        if self.stage == 'iteration' and runner.iter + 1 == self.iteration:
            raise Killed

    def before_val(self, runner: Runner) -> None:
        if self.stage == 'validation' and runner.iter >= self.iteration:
            raise Killed


def train(folder: Path, by_epoch: bool = True, killer: Killer | None = None, data=None, **overrides) -> dict:
    """Train, or begin to; return the last checkpoint's content."""
    runner = tiny_runner(folder, **{**settings(by_epoch, killer, data), **overrides})
    try:
        runner.train()
    except Killed:
        return {}
    assert killer is None
    last = (folder / 'last_checkpoint').read_text()
    return torch.load(last, weights_only=True)


def settings(by_epoch: bool, killer: Killer | None, data: dict | None) -> dict:
    loop = dict(by_epoch=True, max_epochs=EPOCHS)
    if not by_epoch:
        loop = dict(by_epoch=False, max_iters=BATCHES * EPOCHS, val_interval=4)
    validation = loader(TinyData(20), sampler=dict(type='DefaultSampler', shuffle=False))
    return dict(
        model=GUIDED,
        train_dataloader=loader(RandomData()) if data is None else data,
        train_cfg=loop,
        val_dataloader=validation,
        val_cfg=dict(),
        val_evaluator=[Accuracy()],
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, begin=0, end=9, by_epoch=False),
            dict(type='ReduceOnPlateauLR', monitor='accuracy', rule='greater', patience=0),
        ],
        optim_wrapper=wrapper_config(balancer=dict(type='CGGM', progress='SmoothedProgress')),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=2),
            checkpoint=dict(
                type='CheckpointHook', interval=1, by_epoch=False, max_keep_ckpts=2, save_best='accuracy',
                rule='greater',
            ),
        ),
        hooks=[dict(type='BalancingHook'), dict(type='EMAHook'), *([killer] if killer else [])],
    )  # fmt: skip


def flat(value, name=''):
    if isinstance(value, dict):
        return {k: v for key, part in value.items() for k, v in flat(part, f'{name}/{key}').items()}
    if isinstance(value, (list, tuple)):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def assert_same(found: dict, expected: dict) -> None:
    """Compare all but what is of this run: names, clocks and folders."""
    found, expected = flat(found), flat(expected)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if name.startswith('/meta/') or any(
            f'/train/{time}' in name or f'/val/{time}' in name for time in TIMES
        ):
            continue
        if name.endswith(('experiment_name', '/last_ckpt', '/best_ckpt', '/cfg')):
            continue
        other = found[name]
        if torch.is_tensor(value):
            assert torch.equal(other.nan_to_num(), value.nan_to_num()), f'{name}: {other}, expected {value}'
        else:
            assert other == value or value != value, f'{name}: {other}, expected {value}'


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The uninterrupted training of each loop."""
    return {by_epoch: train(tmp_path_factory.mktemp('whole'), by_epoch) for by_epoch in (True, False)}


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
@pytest.mark.parametrize('iteration', [1, 4, 5, 8, 10, 12, 14])
def test_goes_on_at_any_iteration(whole, tmp_path, by_epoch, iteration):
    train(tmp_path, by_epoch, Killer(iteration))
    assert_same(train(tmp_path, by_epoch, resume=True), whole[by_epoch])


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
@pytest.mark.parametrize('iteration', [4, 12, 15])
def test_goes_on_before_a_validation_that_was_not_done(whole, tmp_path, by_epoch, iteration):
    train(tmp_path, by_epoch, Killer(iteration, 'validation'))
    assert_same(train(tmp_path, by_epoch, resume=True), whole[by_epoch])


def test_goes_on_after_several_kills(whole, tmp_path):
    for iteration in (2, 3, 7, 11):
        train(tmp_path, True, Killer(iteration), resume=True)
    assert_same(train(tmp_path, True, resume=True), whole[True])
    kept = sorted(path.name for path in tmp_path.glob('*.pth'))
    assert kept[-2:] == ['iter_14.pth', 'iter_15.pth'] and len(kept) == 3 and kept[0].startswith('best_')


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
def test_workers_change_nothing_and_neither_do_kills(whole, tmp_path, by_epoch):
    data = loader(RandomData(), workers=2)
    train(tmp_path, by_epoch, Killer(7), data=data)
    assert_same(train(tmp_path, by_epoch, data=data, resume=True), whole[by_epoch])


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
def test_goes_on_with_workers_that_persist(tmp_path, by_epoch):
    """They draw no seed from the training's generator, which a resumed training would do at another time."""
    data = loader(RandomData(), workers=2, persistent=True)
    before = set(active_children())
    expected = train(tmp_path / 'whole', by_epoch, data=data)
    train(tmp_path / 'parts', by_epoch, Killer(10), data=data)
    assert_same(train(tmp_path / 'parts', by_epoch, data=data, resume=True), expected)
    assert set(active_children()) <= before  # they end with the training, whole or not


@pytest.mark.parametrize(
    'sampler',
    [
        dict(sampler=dict(type='InfiniteSampler', shuffle=True)),
        dict(batch_sampler=dict(type='BatchSampler', drop_last=True)),
        dict(batch_sampler=dict(type='BucketSampler')),
    ],
    ids=['infinite', 'drop-last', 'buckets'],
)
def test_goes_on_with_other_samplers(tmp_path, sampler):
    data = loader(RandomData(), **sampler)
    expected = train(tmp_path / 'whole', False, data=data)
    train(tmp_path / 'parts', False, Killer(6), data=data)
    assert_same(train(tmp_path / 'parts', False, data=data, resume=True), expected)


def test_goes_on_with_a_seed_that_nobody_chose(tmp_path):
    """The seed of the first run is drawn; it shuffles and draws the data of the second."""
    seeded = dict(randomness=dict(seed=None))
    train(tmp_path / 'parts', True, Killer(7), **seeded)
    shutil.copytree(tmp_path / 'parts', tmp_path / 'again')
    found = [train(tmp_path / name, True, resume=True, **seeded) for name in ('parts', 'again')]
    assert_same(*found)
    seed = found[0]['meta']['seed']
    assert_same(train(tmp_path / 'whole', True, randomness=dict(seed=seed)), found[0])


@pytest.mark.parametrize(
    ('method', 'by_epoch', 'iteration'),
    [
        ('CGGM', True, 4),
        ('OGM', False, 10),
        ('MMPareto', True, 5),
        (['CGGM', 'MSLR'], False, 7),
        (None, True, 5),
    ],
)
def test_goes_on_between_micro_batches(tmp_path, method, by_epoch, iteration):
    """An update is of three batches: at iterations 4, 5, 7 and 10 one is unfinished."""
    balanced = wrapper_config(accumulative_counts=3, balancer=method)
    hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')] if method else []
    killer = Killer(iteration)
    expected = train(tmp_path / 'whole', by_epoch, optim_wrapper=balanced, hooks=hooks)
    train(tmp_path / 'parts', by_epoch, killer, optim_wrapper=balanced, hooks=[*hooks, killer])
    found = train(tmp_path / 'parts', by_epoch, optim_wrapper=balanced, hooks=hooks, resume=True)
    assert_same(found, expected)


def test_what_is_drawn_differs_from_epoch_to_epoch_and_not_by_workers(tmp_path):
    """The same samples in the same order, three epochs long."""

    def drawn(workers: int, persistent: bool) -> list:
        watch = Watch()
        data = loader(RandomData(16), workers, persistent, sampler=dict(type='DefaultSampler', shuffle=False))
        train(tmp_path / f'{workers}{persistent}', data=data, hooks=[watch], optim_wrapper=UNBALANCED)
        return watch.inputs

    here = drawn(0, False)
    assert len(here) == 2 * EPOCHS
    for epoch in (1, 2):
        assert not torch.equal(here[0], here[2 * epoch])
    for workers, persistent in ((1, False), (2, False), (2, True)):
        found = drawn(workers, persistent)
        assert all(torch.equal(a, b) for a, b in zip(here, found, strict=True)), (workers, persistent)


def test_drawing_data_leaves_the_trainings_generators_alone():
    data = SeededDataset(RandomData(4), seed=0)
    before = (random.random(), np.random.rand(), torch.rand(3))  # noqa: NPY002
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002, B018
    expected = (random.random(), np.random.rand(), torch.rand(3))  # noqa: NPY002
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002, B018
    data[PlacedIndex(2, (0, 5))]
    found = (random.random(), np.random.rand(), torch.rand(3))  # noqa: NPY002
    assert found[:2] == expected[:2] and torch.equal(found[2], expected[2]) and found[0] != before[0]
