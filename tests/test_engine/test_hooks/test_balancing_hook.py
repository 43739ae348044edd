"""BalancingHook in a runner: schedule, log and resumption."""

import json
from itertools import cycle
from pathlib import Path

import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import IterableDataset

from mmcggm.engine import BalancingHook
from tests.tiny import TinyData, classifier_guided, tiny_guided, tiny_runner, wrapper_config

TURNS = dict(type='ReconBoost', any_fusion=True, turn_epochs=1, rectify_epochs=1)


def logged(work_dir) -> list[dict]:
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in scalars.read_text().splitlines()]


def test_balance_is_logged_by_modality(tmp_path):
    tiny_runner(tmp_path).train()
    records = logged(tmp_path)
    names = {f'balance/{name}/{m}' for name in ('B', 'score', 'cos') for m in ('left', 'right')}
    assert len(records) == 4 and all(names | {'balance/L_gm'} <= set(record) for record in records)
    for record in records:
        assert record['balance/B/left'] + record['balance/B/right'] == pytest.approx(1, abs=1e-4)


BY_ITERATION = dict(type='IterBasedTrainLoop', max_iters=16, val_interval=100)


def iteration_based(work_dir: Path, hooks: list, **overrides) -> Runner:
    """Return a runner of sixteen iterations, of which four make an epoch."""
    settings = dict(
        train_cfg=BY_ITERATION,
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=2),
            checkpoint=dict(type='CheckpointHook', interval=6, by_epoch=False),
        ),
        log_processor=dict(by_epoch=False),
    )
    return tiny_runner(work_dir, hooks=hooks, **{**settings, **overrides})


class Watch(Hook):
    """Keeps when the balancer is active, the clock's epochs, and whose turn it is."""

    def __init__(self) -> None:
        self.active, self.epochs, self.turns = [], [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        balancer = runner.optim_wrapper.balancer
        self.active.append(balancer.active)
        self.epochs.append(balancer.clock.epoch)
        self.turns.append(getattr(balancer, 'turn', None))


@pytest.mark.parametrize('by', ['epoch', 'iteration'])
@pytest.mark.parametrize(
    ('schedule', 'expected'),
    [
        (dict(begin=1, end=3), [False] * 4 + [True] * 8 + [False] * 4),
        (dict(begin=1 / 4, end=0.75), [False] * 4 + [True] * 8 + [False] * 4),
        (dict(begin=0.5, end=1.0), [False] * 8 + [True] * 8),
        (dict(begin=1, end=0.5), [False] * 4 + [True] * 4 + [False] * 8),
        (dict(end=1), [True] * 4 + [False] * 12),
        (dict(begin=3, end=7, by_epoch=False), [False] * 3 + [True] * 4 + [False] * 9),
    ],
)
def test_balancing_is_active_between_begin_and_end(tmp_path, by, schedule, expected):
    watch = Watch()
    hooks = [BalancingHook(**schedule), watch]
    runner = tiny_runner(tmp_path, 4, hooks) if by == 'epoch' else iteration_based(tmp_path, hooks)
    runner.train()
    assert watch.active == expected
    assert watch.epochs == [epoch for epoch in range(4) for _ in range(4)]


@pytest.mark.parametrize('by', ['epoch', 'iteration'])
def test_turns_last_as_many_epochs_with_both_loops(tmp_path, by):
    watch = Watch()
    hooks, wrapper = [BalancingHook(), watch], wrapper_config(balancer=TURNS)
    settings = dict(model=classifier_guided(), optim_wrapper=wrapper)
    if by == 'epoch':
        tiny_runner(tmp_path, 4, hooks, **settings).train()
    else:
        iteration_based(tmp_path, hooks, **settings).train()
    assert watch.turns == [0] * 4 + [None] * 4 + [1] * 4 + [None] * 4


def test_a_training_that_goes_on_in_the_middle_of_an_epoch_keeps_its_clock(tmp_path):
    settings = dict(model=classifier_guided(), optim_wrapper=wrapper_config(balancer=TURNS))
    first = dict(BY_ITERATION, max_iters=6)
    iteration_based(tmp_path, [BalancingHook()], train_cfg=first, **settings).train()
    watch = Watch()
    iteration_based(tmp_path, [BalancingHook(), watch], resume=True, **settings).train()
    assert watch.epochs == [1] * 2 + [2] * 4 + [3] * 4
    assert watch.turns == [None] * 2 + [1] * 4 + [None] * 4


class Endless(IterableDataset):
    """The samples of TinyData again and again: nobody knows how many make an epoch."""

    def __iter__(self):
        return cycle(iter([TinyData(16)[i] for i in range(16)]))


@pytest.mark.parametrize(
    ('hook', 'balancer', 'message'),
    [
        (
            dict(begin=1),
            dict(type='CGGM'),
            r'BalancingHook\(begin=1, end=None\) counts epochs.*by_epoch=False',
        ),
        (dict(), TURNS, r'ReconBoost counts epochs, but the data set .* has no length'),
    ],
)
def test_epochs_of_data_without_a_length_are_refused(tmp_path, hook, balancer, message):
    data = dict(dataset=Endless(), batch_size=4, num_workers=0, sampler=None, collate_fn=default_collate)
    settings = dict(
        model=classifier_guided(), train_dataloader=data, optim_wrapper=wrapper_config(balancer=balancer)
    )
    with pytest.raises(ValueError, match=message):
        iteration_based(tmp_path, [BalancingHook(**hook)], **settings).train()


def test_values_of_a_modality_called_time_are_logged_as_measured(tmp_path):
    seen = []

    class Keep(Hook):
        priority = 'LOW'

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append(runner.optim_wrapper.balancer.stats['B'][0].item())

    model = tiny_guided(encoders=dict(time_series='left_encoder', loss_history='right_encoder'))
    tiny_runner(tmp_path, hooks=[BalancingHook(), Keep()], model=model).train()
    found = [record['balance/B/time_series'] for record in logged(tmp_path)]
    assert found == pytest.approx(seen[1::2], abs=1e-4)


def test_resumed_training_equals_uninterrupted(tmp_path):
    whole = tiny_runner(tmp_path / 'whole', max_epochs=4)
    whole.train()
    tiny_runner(tmp_path / 'parts', max_epochs=2).train()
    resumed = tiny_runner(tmp_path / 'parts', max_epochs=4, resume=True)
    resumed.train()
    for (name, expected), found in zip(
        whole.model.named_parameters(), resumed.model.parameters(), strict=True
    ):
        assert torch.equal(expected, found), name
    states = [runner.optim_wrapper.balancer.state_dict() for runner in (whole, resumed)]
    assert states[0].keys() == states[1].keys() and states[0]['updates'] == states[1]['updates'] == 16
    assert all(torch.equal(states[0][name], states[1][name]) for name in ('progress_state', 'score', 'B'))


def test_missing_balancer_is_reported_before_training(tmp_path):
    runner = tiny_runner(tmp_path, optim_wrapper=wrapper_config(balancer=None))
    with pytest.raises(TypeError, match='BalancingHook needs an optimizer wrapper with a balancer'):
        runner.train()


def test_a_fraction_above_one_is_told_from_epochs():
    with pytest.raises(ValueError, match=r'end=2\.0: a float is a fraction.* write a whole number'):
        BalancingHook(end=2.0)


@pytest.mark.parametrize(
    'arguments', [dict(begin=-1), dict(begin=2, end=2), dict(end=0.0), dict(begin=0.5, end=0.2)]
)
def test_bad_schedule_is_refused(arguments):
    with pytest.raises(ValueError, match='0 <= begin < end'):
        BalancingHook(**arguments)


@pytest.mark.parametrize(('first', 'second'), [(None, 'OGM'), ('CGGM', None), ('CGGM', 'OGM')])
def test_a_checkpoint_of_another_method_is_refused(tmp_path, first, second):
    def runner(method: str | None, **settings) -> Runner:
        wrapper = wrapper_config(balancer=method)
        hooks = [BalancingHook()] if method else []
        return tiny_runner(tmp_path, 1, hooks, model=classifier_guided(), optim_wrapper=wrapper, **settings)

    runner(first).train()
    with pytest.raises(
        ValueError, match=rf'training with {first or "no balancer"}.*{second or "no balancer"}'
    ):
        runner(second, resume=True).train()
