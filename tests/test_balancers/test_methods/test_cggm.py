"""CGGM against finite differences, closed forms and its definition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import CGGM, StepProgress
from mmcggm.balancers.cggm_formulas import balancing_terms, direction_gradient, direction_loss
from mmcggm.balancers.scores import scores_from_counts
from tests.toy import ToyModel, toy_batch


def direction_objective(model: ToyModel, terms, guide_grads, inputs, target, loss: str) -> torch.Tensor:
    """L_gm as a function of the model, written from the paper without the code under test."""
    seen = model.step(inputs, target, loss)
    (grad,) = torch.autograd.grad(seen.task_loss, seen.head_weight, create_graph=True)
    cosines = torch.stack([F.cosine_similarity(grad.flatten(), g.flatten(), dim=0) for g in guide_grads])
    return sum(abs(b) - b * c for b, c in zip(terms, cosines, strict=True)) / len(terms)


@settings(max_examples=40)
@given(
    modalities=st.integers(2, 6),
    head=st.sampled_from(['linear', 'conv2d', 'conv3d']),
    loss=st.sampled_from(['classification', 'regression', 'segmentation']),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_direction_gradient_agrees_with_finite_differences(modalities, head, loss, bias, seed):
    torch.manual_seed(seed)
    model = ToyModel(modalities, head, bias=bias).double()
    inputs, target = toy_batch(modalities, head, seed=seed)
    cggm = model.attached(CGGM(lam=1.0))
    cggm.load_state_dict(dict(updates=1, progress_state=torch.rand(1, modalities, dtype=torch.float64)))
    seen = model.step(inputs, target, loss)
    term = cggm.see(seen)
    guide_grads = [
        torch.autograd.grad(g, w, retain_graph=True)[0]
        for g, w in zip(seen.guide_losses, seen.guide_weights, strict=True)
    ]
    parameters = [*model.encoders.parameters(), model.head.weight]
    analytic = torch.cat([g.flatten() for g in torch.autograd.grad(term, parameters)])

    def objective():
        return direction_objective(model, cggm.stats['B'].tolist(), guide_grads, inputs, target, loss)

    eps, numeric = 1e-5, []
    for parameter in parameters:
        flat = parameter.data.view(-1)
        for index in range(flat.numel()):
            original = flat[index].item()
            flat[index] = original + eps
            above = objective().item()
            flat[index] = original - eps
            numeric.append((above - objective().item()) / (2 * eps))
            flat[index] = original
    numeric = torch.tensor(numeric, dtype=torch.float64)
    assert torch.linalg.norm(analytic - numeric) <= 1e-6 * torch.linalg.norm(numeric)
    assert cggm.stats['L_gm'].item() == pytest.approx(objective().item(), rel=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6), st.integers(0, 100))
def test_closed_form_of_the_direction_gradient(terms, seed):
    terms = torch.tensor(terms, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    grad = torch.randn(7, generator=generator, dtype=torch.float64, requires_grad=True)
    guide_grads = torch.randn(len(terms), 7, generator=generator, dtype=torch.float64)
    cosines = F.cosine_similarity(grad.unsqueeze(0), guide_grads)
    (expected,) = torch.autograd.grad(direction_loss(terms, cosines), grad)
    gradient, found = direction_gradient(terms, grad.detach(), guide_grads)
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(found, cosines.detach())


def test_vanishing_gradients_have_no_direction():
    terms = torch.tensor([0.5, 0.5])
    gradient, cosines = direction_gradient(terms, torch.zeros(3), torch.ones(2, 3))
    assert torch.equal(gradient, torch.zeros(3)) and torch.equal(cosines, torch.zeros(2))
    gradient, cosines = direction_gradient(terms, torch.ones(3), torch.zeros(2, 3))
    assert torch.equal(gradient, torch.zeros(3)) and torch.equal(cosines, torch.zeros(2))


@given(st.integers(2, 6), st.floats(-1, 1).filter(lambda x: abs(x) > 1e-3))
def test_equal_progress_gives_the_neutral_value(modalities, delta):
    terms, _ = balancing_terms(torch.full((modalities,), delta, dtype=torch.float64), tolerance=1e-6)
    torch.testing.assert_close(terms, torch.full_like(terms, (modalities - 1) / modalities))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6))
def test_terms_sum_to_m_minus_one(delta):
    delta = torch.tensor(delta, dtype=torch.float64)
    terms, _ = balancing_terms(delta, tolerance=1e-3)
    assert terms.isfinite().all()
    assert terms.sum().item() == pytest.approx(len(delta) - 1, abs=1e-9)


def test_pole_takes_the_neutral_value():
    terms, _ = balancing_terms(torch.tensor([0.3, -0.3]), tolerance=1e-6)
    assert terms.tolist() == [0.5, 0.5]


def test_faster_modality_gets_the_smaller_term():
    terms, _ = balancing_terms(torch.tensor([0.3, 0.1]), tolerance=1e-6)
    torch.testing.assert_close(terms, torch.tensor([0.25, 0.75]))


@pytest.mark.parametrize('lam', [0.0, 0.2])
def test_encoder_gradients_are_scaled_exactly(lam):
    torch.manual_seed(0)
    model = ToyModel(3)
    inputs, target = toy_batch(3, dtype=torch.float32)
    cggm = model.attached(CGGM(rho=1.3, lam=lam))
    seen = model.step(inputs, target)
    term = cggm.see(seen)
    assert (term is None) == (lam == 0)
    (seen.task_loss + sum(seen.guide_losses) + (0 if term is None else term)).backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters()}
    cggm.finish_update()
    for name, parameter in model.named_parameters():
        part, index = name.split('.')[:2] if name.startswith('encoders') else (name, 0)
        scale = 1.3 * cggm.stats['B'][int(index)] if part == 'encoders' else 1
        assert torch.equal(parameter.grad, before[name] * scale), name


def test_first_step_compares_with_zero():
    model = ToyModel(2).double()
    cggm = model.attached(CGGM(lam=0))
    cggm.see(model.step(*toy_batch(2)))
    cggm.finish_update()
    scores = cggm.stats['score']
    torch.testing.assert_close(cggm.stats['B'], scores.flip(0) / scores.sum())
    assert torch.equal(cggm.state_dict()['score'], scores)


def test_bounds_clip_the_terms():
    model = ToyModel(2).double()
    cggm = model.attached(CGGM(lam=0, bounds=(0.4, 0.6)))
    cggm.load_state_dict(dict(updates=1, progress_state=torch.tensor([[0.9, 0.0]], dtype=torch.float64)))
    cggm.see(model.step(*toy_batch(2)))
    assert cggm.stats['B'].min() >= 0.4 and cggm.stats['B'].max() <= 0.6


def test_inactive_balancer_observes_and_changes_nothing():
    model = ToyModel(2).double()
    cggm = model.attached(CGGM())
    cggm.active = False
    seen = model.step(*toy_batch(2))
    assert cggm.see(seen) is None
    seen.task_loss.backward()
    before = [p.grad.clone() for p in model.encoders.parameters()]
    cggm.finish_update()
    assert all(torch.equal(p.grad, g) for p, g in zip(model.encoders.parameters(), before, strict=True))
    assert torch.equal(cggm.state_dict()['score'], cggm.stats['score'])


def test_accumulated_counts_equal_those_of_the_whole_batch():
    torch.manual_seed(0)
    model = ToyModel(3).double()
    inputs, target = toy_batch(3, size=8)
    whole, parts = (model.attached(CGGM(lam=0)) for _ in range(2))
    whole.see(model.step(inputs, target))
    parts.see(model.step([x[:3] for x in inputs], target[:3]))
    parts.see(model.step([x[3:] for x in inputs], target[3:]))
    torch.testing.assert_close(parts.stats['B'], whole.stats['B'])
    for cggm in (whole, parts):
        cggm.finish_update()
    torch.testing.assert_close(parts.state_dict()['progress_state'], whole.state_dict()['progress_state'])


def test_gradients_without_a_pass_are_refused():
    with pytest.raises(RuntimeError, match=r'CGGM\.finish_update was called without `see`'):
        ToyModel(2).attached(CGGM()).finish_update()


def test_state_is_restored():
    model = ToyModel(2).double()
    first, second = (model.attached(CGGM(lam=0)) for _ in range(2))
    first.see(model.step(*toy_batch(2)))
    first.finish_update()
    second.load_state_dict(first.state_dict())
    for cggm in (first, second):
        cggm.see(model.step(*toy_batch(2, seed=1)))
    assert torch.equal(first.stats['B'], second.stats['B'])


def test_parts_without_samples_are_left_out_of_the_score():
    counts = torch.tensor([[[1.0, 2.0], [0.0, 0.0]], [[3.0, 4.0], [1.0, 4.0]]])
    assert scores_from_counts(counts).tolist() == [0.5, 0.5]


def test_score_without_any_samples_is_not_a_number():
    counts = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[3.0, 4.0], [1.0, 4.0]]])
    assert scores_from_counts(counts).isnan().tolist() == [True, False]


@pytest.mark.parametrize(
    'arguments',
    [
        dict(rho=0),
        dict(lam=-1),
        dict(bounds=(1, 0)),
        dict(tolerance=-1),
        dict(direction='up'),
        dict(magnitude='up'),
        dict(interval=0),
    ],
)
def test_arguments_out_of_range_are_named(arguments):
    with pytest.raises(ValueError, match=f'CGGM needs {next(iter(arguments))}'):
        CGGM(**arguments)


def test_progress_may_be_an_object_or_a_config():
    assert isinstance(CGGM().progress, StepProgress)
    assert CGGM(progress=dict(type='SmoothedProgress', floor=0.1)).progress.floor == 0.1
