"""CGGM's variants: the published code's rules, the scale on the update, schedules, intervals, bad scores."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import CGGM, Schedule
from tests.test_balancers.published import train_as_published
from tests.toy import ToyModel, toy_batch


def batches(modalities: int, count: int, size: int = 6) -> list:
    return [toy_batch(modalities, size=size, seed=seed) for seed in range(count)]


def groups(model: ToyModel, lr: float, guide_lr: float) -> list[dict]:
    """The optimizer's groups, one an encoder."""
    encoders = [dict(params=e.parameters(), modality=i) for i, e in enumerate(model.encoders)]
    return [
        *(dict(group, lr=lr) for group in encoders),
        dict(params=model.head.parameters(), lr=lr, modality=None),
        dict(params=model.guides.parameters(), lr=guide_lr, modality=None),
    ]


def train(model: ToyModel, cggm: CGGM, data: list, optimizer: torch.optim.Optimizer) -> None:
    """The plain PyTorch loop."""
    for inputs, target in data:
        step = model.step(inputs, target)
        term = cggm.adjust_loss(step)
        optimizer.zero_grad()
        (step.task_loss + sum(step.guide_losses) + (0 if term is None else term)).backward()
        cggm.adjust_gradients(model.encoder_parameters())
        with cggm.scaled_updates(optimizer):
            optimizer.step()


@pytest.mark.parametrize('modalities', [2, 3, 4])
def test_weight_direction_is_the_published_code_step_for_step(modalities):
    torch.manual_seed(modalities)
    model = ToyModel(modalities).double()
    reference, data = copy.deepcopy(model), batches(modalities, 10, size=50)
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
    cggm = CGGM(direction='weight')
    for seed in range(2):
        term = cggm.adjust_loss(model.step(*toy_batch(2, seed=seed)))
        if seed == 0:
            assert term is None
            cggm.adjust_gradients([[], []])
    term.backward()
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ['head.weight']


def test_update_scale_equals_gradient_scale_for_sgd():
    model = ToyModel(3).double()
    other, data = copy.deepcopy(model), batches(3, 5)
    for m, magnitude in ((model, 'gradient'), (other, 'update')):
        train(m, CGGM(magnitude=magnitude), data, torch.optim.SGD(groups(m, 0.05, 0.02)))
    for found, expected in zip(other.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def test_adam_undoes_a_constant_scale_on_the_gradient_but_not_on_the_update():
    """Two modalities at a pole: B is 1/2 in every step."""
    moved = {}
    for magnitude in ('none', 'gradient', 'update'):
        torch.manual_seed(0)
        model = ToyModel(2).double()
        before = model.encoders[0].weight.detach().clone()
        cggm = CGGM(rho=1.0, lam=0.0, magnitude=magnitude, tolerance=10.0)
        train(model, cggm, batches(2, 1), torch.optim.Adam(groups(model, 1e-3, 1e-3)))
        moved[magnitude] = (model.encoders[0].weight.detach() - before).norm().item()
    assert moved['gradient'] == pytest.approx(moved['none'], rel=1e-3)
    assert moved['update'] == pytest.approx(moved['none'] / 2, rel=1e-6)


def test_learning_rates_are_put_back_after_the_step():
    model = ToyModel(2).double()
    optimizer = torch.optim.SGD(groups(model, 0.05, 0.02))
    cggm = CGGM(magnitude='update')
    train(model, cggm, batches(2, 2), optimizer)
    assert [group['lr'] for group in optimizer.param_groups] == [0.05, 0.05, 0.05, 0.02]


def test_update_scale_needs_groups():
    model = ToyModel(2).double()
    with pytest.raises(ValueError, match='GuidedOptimWrapperConstructor'):
        train(model, CGGM(magnitude='update'), batches(2, 1), torch.optim.SGD(model.parameters(), lr=0.1))


@pytest.mark.parametrize('modalities', [2, 5])
def test_neutral_rho_changes_nothing_at_equal_progress(modalities):
    model = ToyModel(modalities).double()
    cggm = CGGM(rho='neutral', lam=0.0, tolerance=10.0)
    step = model.step(*toy_batch(modalities))
    cggm.adjust_loss(step)
    step.task_loss.backward()
    before = [p.grad.clone() for p in model.encoders.parameters()]
    cggm.adjust_gradients(model.encoder_parameters())
    for parameter, grad in zip(model.encoders.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.grad, grad)


def test_between_measurements_the_terms_stay():
    model = ToyModel(2).double()
    cggm, measured = CGGM(interval=3), []
    for seed in range(6):
        step = model.step(*toy_batch(2, seed=seed))
        counts = step.counts
        step.counts = lambda seed=seed, counts=counts: (measured.append(seed), counts())[1]
        assert (cggm.adjust_loss(step) is None) == (seed % 3 != 0)
        step.task_loss.backward()
        terms, grad = cggm.stats['B'].clone(), model.encoders[0].weight.grad.clone()
        cggm.adjust_gradients(model.encoder_parameters())
        torch.testing.assert_close(model.encoders[0].weight.grad, grad * terms[0])
        model.zero_grad()
    assert measured == [0, 3]


def test_resuming_between_measurements_keeps_the_terms():
    model, cggm = ToyModel(2).double(), CGGM(interval=2, lam=0.0)
    train(model, cggm, batches(2, 1), torch.optim.SGD(groups(model, 0.1, 0.1)))
    resumed = CGGM(interval=2, lam=0.0)
    resumed.load_state_dict(copy.deepcopy(cggm.state_dict()))
    clone = copy.deepcopy(model)
    for m, c in ((model, cggm), (clone, resumed)):
        train(m, c, batches(2, 4)[1:], torch.optim.SGD(groups(m, 0.1, 0.1)))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), clone.parameters(), strict=True))


def test_scores_that_are_not_finite_count_as_unchanged():
    model = ToyModel(2).double()
    cggm = CGGM(lam=0.0)
    train(model, cggm, batches(2, 1), torch.optim.SGD(groups(model, 0.1, 0.1)))
    last = cggm.state_dict()['score'].clone()
    step = model.step(*toy_batch(2, seed=1))
    step.counts = lambda: torch.tensor([[[float('nan'), 6.0]], [[3.0, 6.0]]], dtype=torch.float64)
    cggm.adjust_loss(step)
    assert cggm.stats['score'].tolist() == [last[0].item(), 0.5]
    assert int(cggm.events['score not finite, taken as unchanged']) == 1


def test_an_overflowing_update_leaves_no_trace():
    model = ToyModel(2).double()
    cggm = CGGM(lam=0.0)
    train(model, cggm, batches(2, 2), torch.optim.SGD(groups(model, 0.1, 0.1)))
    before = {k: v.clone() for k, v in cggm.state_dict().items() if k != 'updates'}
    cggm.adjust_loss(model.step(*toy_batch(2, seed=7)))
    cggm.adjust_gradients(model.encoder_parameters(), overflow=torch.tensor(1.0))
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
    cggm = CGGM(lam=[(0, 0.0), (0.5, 0.2)])
    model = ToyModel(2).double()
    assert cggm.adjust_loss(model.step(*toy_batch(2))) is None
    cggm.training_progress = 0.5
    assert cggm.adjust_loss(model.step(*toy_batch(2))) is not None
