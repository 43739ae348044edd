"""CGGM's variants: the published code's rules, the scale on the update, schedules, intervals, bad scores."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import CGGM, Schedule
from tests.test_balancers.published import train_as_published
from tests.toy import ToyModel, groups, toy_batch, toy_batches, train


@pytest.mark.parametrize('modalities', [2, 3, 4])
def test_weight_direction_is_the_published_code_step_for_step(modalities):
    torch.manual_seed(modalities)
    model = ToyModel(modalities).double()
    reference, data = copy.deepcopy(model), toy_batches(modalities, 10, size=50)
    history = train_as_published(reference, data, rho=1.3, lam=0.2, lr=0.05, guide_lr=0.02)
    # At a pole both explode alike, and nothing could be compared.
    assert max(abs(c) for step in history for c in step) < 1e3
    cggm = CGGM(rho=1.3, lam=0.2, direction='weight', tolerance=None)
    train(model, cggm, data, torch.optim.SGD(groups(model, 0.05, 0.02)))
    for (name, found), expected in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6, msg=name)
    torch.testing.assert_close(cggm.stats['B'].tolist(), history[-1], rtol=1e-6, atol=1e-6)


def test_weight_direction_moves_the_heads_weight_alone():
    model = ToyModel(2).double()
    cggm = model.attached(CGGM(direction='weight'))
    for seed in range(2):
        term = cggm.see(model.step(*toy_batch(2, seed=seed)))
        if seed == 0:
            assert term is None
            cggm.finish_update()
    term.backward()
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ['head.weight']


def test_update_scale_equals_gradient_scale_for_sgd():
    model = ToyModel(3).double()
    other, data = copy.deepcopy(model), toy_batches(3, 5)
    for m, magnitude in ((model, 'gradient'), (other, 'update')):
        train(m, CGGM(magnitude=magnitude), data, torch.optim.SGD(groups(m, 0.05, 0.02)))
    for found, expected in zip(other.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def test_adam_undoes_a_constant_scale_on_the_gradient_but_not_on_the_update():
    """Two modalities at a pole: B is 1/2 in every seen."""
    moved = {}
    for magnitude in ('none', 'gradient', 'update'):
        torch.manual_seed(0)
        model = ToyModel(2).double()
        before = model.encoders[0].weight.detach().clone()
        cggm = CGGM(rho=1.0, lam=0.0, magnitude=magnitude, tolerance=10.0)
        train(model, cggm, toy_batches(2, 1), torch.optim.Adam(groups(model, 1e-3, 1e-3)))
        moved[magnitude] = (model.encoders[0].weight.detach() - before).norm().item()
    assert moved['gradient'] == pytest.approx(moved['none'], rel=1e-3)
    assert moved['update'] == pytest.approx(moved['none'] / 2, rel=1e-6)


def test_learning_rates_are_put_back_after_the_step():
    model = ToyModel(2).double()
    optimizer = torch.optim.SGD(groups(model, 0.05, 0.02))
    cggm = CGGM(magnitude='update')
    train(model, cggm, toy_batches(2, 2), optimizer)
    assert [group['lr'] for group in optimizer.param_groups] == [0.05, 0.05, 0.05, 0.02]


def test_update_scale_needs_groups():
    model = ToyModel(2).double()
    with pytest.raises(ValueError, match='GuidedOptimWrapperConstructor'):
        train(model, CGGM(magnitude='update'), toy_batches(2, 1), torch.optim.SGD(model.parameters(), lr=0.1))


@pytest.mark.parametrize('modalities', [2, 5])
def test_neutral_rho_changes_nothing_at_equal_progress(modalities):
    model = ToyModel(modalities).double()
    cggm = model.attached(CGGM(rho='neutral', lam=0.0, tolerance=10.0))
    seen = model.step(*toy_batch(modalities))
    cggm.see(seen)
    seen.task_loss.backward()
    before = [p.grad.clone() for p in model.encoders.parameters()]
    cggm.finish_update()
    for parameter, grad in zip(model.encoders.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.grad, grad)


def test_between_measurements_the_terms_stay():
    model = ToyModel(2).double()
    cggm, measured = model.attached(CGGM(interval=3)), []
    for seed in range(6):
        seen = model.step(*toy_batch(2, seed=seed))
        counts = seen.counts
        seen.counts = lambda seed=seed, counts=counts: (measured.append(seed), counts())[1]
        assert (cggm.see(seen) is None) == (seed % 3 != 0)
        seen.task_loss.backward()
        terms, grad = cggm.stats['B'].clone(), model.encoders[0].weight.grad.clone()
        cggm.finish_update()
        torch.testing.assert_close(model.encoders[0].weight.grad, grad * terms[0])
        model.zero_grad()
    assert measured == [0, 3]


def test_resuming_between_measurements_keeps_the_terms():
    model, cggm = ToyModel(2).double(), CGGM(interval=2, lam=0.0)
    train(model, cggm, toy_batches(2, 1), torch.optim.SGD(groups(model, 0.1, 0.1)))
    resumed = CGGM(interval=2, lam=0.0)
    resumed.load_state_dict(copy.deepcopy(cggm.state_dict()))
    clone = copy.deepcopy(model)
    for m, c in ((model, cggm), (clone, resumed)):
        train(m, c, toy_batches(2, 4)[1:], torch.optim.SGD(groups(m, 0.1, 0.1)))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), clone.parameters(), strict=True))


def test_scores_that_are_not_finite_count_as_unchanged():
    model = ToyModel(2).double()
    cggm = CGGM(lam=0.0)
    train(model, cggm, toy_batches(2, 1), torch.optim.SGD(groups(model, 0.1, 0.1)))
    last = cggm.state_dict()['score'].clone()
    seen = model.step(*toy_batch(2, seed=1))
    seen.counts = lambda: torch.tensor([[[float('nan'), 6.0]], [[3.0, 6.0]]], dtype=torch.float64)
    cggm.see(seen)
    assert cggm.stats['score'].tolist() == [last[0].item(), 0.5]
    assert int(cggm.events['score not finite, taken as unchanged']) == 1


def test_an_overflowing_update_leaves_no_trace():
    model = ToyModel(2).double()
    cggm = CGGM(lam=0.0)
    train(model, cggm, toy_batches(2, 2), torch.optim.SGD(groups(model, 0.1, 0.1)))
    before = {k: v.clone() for k, v in cggm.state_dict().items() if k != 'updates'}
    cggm.see(model.step(*toy_batch(2, seed=7)))
    cggm.finish_update(torch.tensor(1.0))
    assert all(torch.equal(cggm.state_dict()[k], v) for k, v in before.items())


@given(st.floats(0, 1))
def test_schedule_interpolates(fraction):
    schedule = Schedule([(0.2, 1.0), (0.6, 3.0)])
    expected = 1.0 if fraction < 0.2 else 3.0 if fraction >= 0.6 else 1 + 2 * (fraction - 0.2) / 0.4
    assert schedule(fraction) == pytest.approx(expected)
    assert Schedule(0.7)(fraction) == 0.7


@pytest.mark.parametrize('value', ['high', [], [(0.5, 1), (0.1, 2)], [(0, 1), (2, 1)], [1, 2]])
def test_bad_schedules_are_named(value):
    with pytest.raises(ValueError, match='`lam` must be a number or points'):
        CGGM(lam=value)


def test_schedules_follow_training():
    model = ToyModel(2).double()
    cggm = model.attached(CGGM(lam=[(0, 0.0), (0.5, 0.2)]))
    assert cggm.see(model.step(*toy_batch(2))) is None
    cggm.clock.progress = 0.5
    assert cggm.see(model.step(*toy_batch(2))) is not None
