"""MSES: an encoder stops, alone and for good, when its modality's validation score stops improving."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import MSES
from mmcggm.engine import BalancingHook, GuideScoreHook
from tests.tiny import batches, build_wrapper, evaluating_runner, tiny_guided, weights, wrapper_config
from tests.toy import ToyModel


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(1, 4))
def test_stops_after_patience_validations_without_a_new_best(scores, patience):
    expected = False
    for end in range(patience + 1, len(scores) + 1):
        last, before = scores[end - patience : end], scores[: end - patience]
        expected |= max(last) <= max(before)
    mses = ToyModel(3).attached(MSES(patience=patience))
    for i, score in enumerate(scores):
        mses.see_validation([score, i, math.nan])
    assert mses.stopped == [expected, False, False]


@pytest.mark.parametrize('weight', [0.0, 0.7])
def test_unimodal_losses_join_the_tasks(weight):
    guided, (batch,) = tiny_guided(), batches(1)
    model, rate = copy.deepcopy(guided.model), 0.1
    wrapper = build_wrapper(
        guided, optimizer=dict(type='SGD', lr=rate), balancer=dict(type='MSES', weight=weight)
    )
    expected = model(**batch, mode='loss')['loss']
    for name, guide in guided.guides.items():
        prediction = guide(getattr(model, f'{name}_encoder')(batch[name]))
        expected = expected + weight * F.cross_entropy(prediction, batch['label'])
    grads = torch.autograd.grad(expected, list(model.parameters()))
    guided.train_step(batch, wrapper)
    for old, new, grad in zip(model.parameters(), guided.model.parameters(), grads, strict=True):
        torch.testing.assert_close(new, old - rate * grad)


def test_a_stopped_encoder_stays_and_the_others_go_on():
    guided, data = tiny_guided(), batches(6)
    wrapper = build_wrapper(
        guided,
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1),
        balancer=dict(type='MSES', patience=1),
    )
    for batch in data[:2]:
        guided.train_step(batch, wrapper)
    wrapper.balancer.see_validation([0.5, 0.5])
    wrapper.balancer.see_validation([0.5, 0.6])
    left, right = (weights(encoder) for encoder in (guided.model.left_encoder, guided.model.right_encoder))
    for batch in data[2:4]:
        guided.train_step(batch, wrapper)
    assert torch.equal(weights(guided.model.left_encoder), left)
    assert not torch.equal(weights(guided.model.right_encoder), right)
    wrapper.balancer.see_validation([0.9, 0.7])  # too late
    guided.train_step(data[4], wrapper)
    assert torch.equal(weights(guided.model.left_encoder), left)
    assert wrapper.balancer.stats['stopped'].tolist() == [1, 0]
    wrapper.balancer.active = False
    guided.train_step(data[5], wrapper)
    assert not torch.equal(weights(guided.model.left_encoder), left)


def test_trains_by_config_and_resumes_as_if_uninterrupted(tmp_path):
    def run(folder, epochs, **overrides):
        balancer = dict(type='MSES', patience=2, min_delta=0.2)
        runner = evaluating_runner(
            tmp_path / folder,
            max_epochs=epochs,
            hooks=[BalancingHook(), GuideScoreHook()],
            optim_wrapper=wrapper_config(balancer=balancer),
            **overrides,
        )
        runner.train()
        return runner

    whole = run('whole', 5)
    run('parts', 2)
    resumed = run('parts', 5, resume=True)
    states = [runner.optim_wrapper.balancer.state_dict() for runner in (whole, resumed)]
    assert states[0] == states[1] and any(states[0]['stopped'])
    for expected, found in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(expected, found)


@pytest.mark.parametrize('name', ['weight', 'patience', 'min_delta'])
def test_bad_arguments_are_refused(name):
    with pytest.raises(ValueError, match=f'MSES needs {name} >= '):
        MSES(**{name: -1})


def test_a_training_without_scores_is_refused(tmp_path):
    settings = dict(hooks=[BalancingHook()], optim_wrapper=wrapper_config(balancer=dict(type='MSES')))
    with pytest.raises(ValueError, match=r"MSES needs the scores.*dict\(type='GuideScoreHook'\)"):
        evaluating_runner(tmp_path, **settings).train()
    settings = dict(
        hooks=[BalancingHook(), GuideScoreHook()], val_dataloader=None, val_cfg=None, val_evaluator=None
    )
    with pytest.raises(ValueError, match='`val_dataloader`'):
        evaluating_runner(
            tmp_path, optim_wrapper=wrapper_config(balancer=dict(type='MSES')), **settings
        ).train()
