"""MSLR: an encoder's learning rate is its factor times the optimizer's, and the factor follows the scores."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import MSLR
from mmcggm.engine import BalancingHook, GuideScoreHook
from tests.tiny import evaluating_runner, wrapper_config
from tests.toy import ToyModel, groups, toy_batch, train

DYNAMIC = wrapper_config(balancer=dict(type='MSLR', history=2))


@pytest.mark.parametrize('name', ['SGD', 'Adam'])
@pytest.mark.parametrize('modalities', [2, 3, 6])
def test_encoders_move_at_their_own_rate(modalities, name):
    torch.manual_seed(0)
    model, data = ToyModel(modalities).double(), [toy_batch(modalities)]
    factors = [0.0, 2.0, 0.5, 1.0, 3.0, 0.1][:modalities]
    plain, optimizer = copy.deepcopy(model), getattr(torch.optim, name)
    start = [copy.deepcopy(encoder.weight) for encoder in model.encoders]
    train(plain, MSLR('keep', [1.0] * modalities), data, optimizer(groups(plain, 0.1, 0.1)))
    balanced = optimizer(groups(model, 0.1, 0.1))
    train(model, MSLR('keep', factors), data, balanced)
    for factor, old, found, usual in zip(factors, start, model.encoders, plain.encoders, strict=True):
        torch.testing.assert_close(found.weight - old, factor * (usual.weight - old))
    torch.testing.assert_close(model.head.weight, plain.head.weight)
    assert {group['lr'] for group in balanced.param_groups} == {0.1}


@given(st.lists(st.lists(st.floats(0.05, 1), min_size=3, max_size=3), max_size=20), st.integers(1, 5))
def test_factors_follow_the_scores(scores, history):
    mslr = ToyModel(3).attached(MSLR(history=history))
    expected = torch.ones(3, dtype=torch.float64)
    for end in range(history, len(scores) + 1, history):
        last = torch.tensor(scores[end - history : end], dtype=torch.float64)
        expected *= last[-1] / last.mean(0)
    for each in scores:
        mslr.see_validation(each)
    factors = torch.tensor(mslr.rate_factors(), dtype=torch.float64)
    torch.testing.assert_close(factors, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(mslr.stats['factor'].double(), expected, rtol=1e-5, atol=0)


def test_an_inactive_one_changes_nothing():
    torch.manual_seed(0)
    model, data = ToyModel(2), [([x.float() for x in toy_batch(2)[0]], toy_batch(2)[1])]
    plain, mslr = copy.deepcopy(model), MSLR('keep', [0.0, 5.0])
    mslr.active = False
    train(model, mslr, data, torch.optim.SGD(groups(model, 0.1, 0.1)))
    train(plain, MSLR('keep', [1.0, 1.0]), data, torch.optim.SGD(groups(plain, 0.1, 0.1)))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))


def test_trains_by_config_and_resumes_as_if_uninterrupted(tmp_path):
    def run(folder, epochs, **overrides):
        runner = evaluating_runner(
            tmp_path / folder,
            max_epochs=epochs,
            hooks=[BalancingHook(), GuideScoreHook()],
            optim_wrapper=copy.deepcopy(DYNAMIC),
            **overrides,
        )
        runner.train()
        return runner

    whole = run('whole', 5)
    run('parts', 3)
    resumed = run('parts', 5, resume=True)
    states = [runner.optim_wrapper.balancer.state_dict() for runner in (whole, resumed)]
    assert states[0] == states[1] and len(states[0]['scores']) == 1 and states[0]['factors'] != [1.0, 1.0]
    for expected, found in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(expected, found)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(strategy='smart'), "'keep' or 'dynamic'"),
        (dict(strategy='keep'), 'needs `factors`'),
        (dict(factors=[1.0, -1.0]), 'factors >= 0'),
        (dict(history=0), 'history >= 1'),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MSLR(**arguments)


def test_what_it_cannot_work_with_is_refused(tmp_path):
    with pytest.raises(ValueError, match='scores above zero'):
        ToyModel(2).attached(MSLR()).see_validation([0.5, -0.3])
    with pytest.raises(ValueError, match='has 3 entries for 2 modalities'):
        ToyModel(2).attached(MSLR('keep', [1.0] * 3)).rate_factors()
    model = ToyModel(2)
    with (
        pytest.raises(ValueError, match='MSLR needs a parameter group an encoder'),
        model.attached(MSLR('keep', [1.0, 1.0])).scaled_rates(torch.optim.SGD(model.parameters())),
    ):
        pass
    runner = evaluating_runner(tmp_path, hooks=[BalancingHook()], optim_wrapper=copy.deepcopy(DYNAMIC))
    with pytest.raises(ValueError, match=r"MSLR needs the scores.*dict\(type='GuideScoreHook'\)"):
        runner.train()
