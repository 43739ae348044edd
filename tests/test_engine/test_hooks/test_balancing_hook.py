"""BalancingHook in a runner: schedule, log and resumption."""

import json

import pytest
import torch
from mmengine.hooks import Hook

from mmcggm.engine import BalancingHook
from tests.tiny import tiny_runner, wrapper_config


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


def test_balancing_is_active_between_begin_and_end(tmp_path):
    active = []

    class Watch(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            active.append(runner.optim_wrapper.balancer.active)

    tiny_runner(tmp_path, max_epochs=4, hooks=[BalancingHook(begin=1, end=3), Watch()]).train()
    assert active == [False] * 4 + [True] * 8 + [False] * 4


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


@pytest.mark.parametrize('arguments', [dict(begin=-1), dict(begin=2, end=2)])
def test_bad_schedule_is_refused(arguments):
    with pytest.raises(ValueError, match='0 <= begin < end'):
        BalancingHook(**arguments)
