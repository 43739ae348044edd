"""MMPareto against an independent solver, and its step against gradients of its two losses."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear
from torch.nn import functional as F

from mmcggm.balancers import MMPareto
from mmcggm.balancers.methods.mmpareto import min_norm_weight, pareto_gradient
from tests.test_models.predictors import batch, build, guided_config
from tests.tiny import batches, build_wrapper, classifier_guided, weights
from tests.toy import ToyModel, toy_batch

vectors = st.lists(st.integers(-9, 9), min_size=3, max_size=3).map(lambda v: torch.tensor(v).double())


@given(vectors, vectors)
def test_weight_is_that_of_an_independent_min_norm_solution(first, second):
    weight = min_norm_weight(first, second)
    found = (weight * first + (1 - weight) * second).square().sum()
    difference = (first - second).unsqueeze(1).numpy()
    solution = lsq_linear(difference, -second.numpy(), bounds=(0, 1), tol=1e-14)
    assert 0 <= weight <= 1
    assert float(found) == pytest.approx(2 * solution.cost, abs=1e-8)


@given(vectors, vectors)
def test_gradient_descends_both_losses_at_full_length(multimodal, unimodal):
    gradient, weight = pareto_gradient(multimodal, unimodal)
    total = multimodal + unimodal
    if torch.dot(multimodal, unimodal) >= 0:
        torch.testing.assert_close(gradient, total)
        assert weight == 0.5
    elif gradient.any():
        assert 0 < weight < 1
        torch.testing.assert_close(gradient.norm(), total.norm())
        assert torch.dot(gradient, multimodal) >= -1e-6 and torch.dot(gradient, unimodal) >= -1e-6
        torch.testing.assert_close(torch.dot(gradient, multimodal), torch.dot(gradient, unimodal))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_opposed_gradients_leave_the_encoder_where_it_is(dtype):
    multimodal = torch.randn(50).to(dtype)
    assert not pareto_gradient(multimodal, -0.3 * multimodal)[0].any()
    torch.testing.assert_close(pareto_gradient(multimodal, 0 * multimodal)[0], multimodal)


@pytest.mark.parametrize('conflict', [False, True])
def test_a_step_is_the_papers(conflict):
    guided, (data,) = classifier_guided(), batches(1)
    model = guided.model
    if conflict:  # guides that want the opposite of what the model wants
        with torch.no_grad():
            for guide in guided.guides.values():
                guide.layer.weight.copy_(-model.classifier.weight)
    reference = copy.deepcopy(guided)
    wrapper = build_wrapper(
        guided, optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='MMPareto', gamma=1.5)
    )
    guided.train_step(data, wrapper)

    cosines = wrapper.balancer.stats['cos']
    for index, name in enumerate(('left', 'right')):
        encoder = getattr(reference.model, f'{name}_encoder')
        parameters = list(encoder.parameters())
        prediction = reference.guides[name](encoder(data[name]))
        losses = reference.model(**data, mode='loss')['loss'], F.cross_entropy(prediction, data['label'])
        grads = [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]).double()
            for loss in losses
        ]
        torch.testing.assert_close(cosines[index].double(), F.cosine_similarity(*grads, dim=0))
        direction = sum(grads)
        if cosines[index] < 0:
            alphas = torch.linspace(0, 1, 20001, dtype=torch.float64)[:, None]
            candidates = alphas * grads[0] + (1 - alphas) * grads[1]
            direction = candidates[candidates.norm(dim=1).argmin()]
        expected = 1.5 * sum(grads).norm() * direction / direction.norm()
        moved = (weights(encoder) - weights(getattr(model, f'{name}_encoder'))) / 0.1
        torch.testing.assert_close(moved.double(), expected, atol=1e-3, rtol=1e-3)
    assert (cosines < 0).all() == conflict


def test_micro_batches_are_one_batch():
    whole, parts = classifier_guided(), classifier_guided()
    (data,) = batches(1)
    balancer = dict(type='MMPareto')
    whole.train_step(data, build_wrapper(whole, balancer=balancer))
    wrapper = build_wrapper(parts, accumulative_counts=2, balancer=balancer)
    for half in (slice(8), slice(8, None)):
        parts.train_step({name: value[half] for name, value in data.items()}, wrapper)
    torch.testing.assert_close(weights(parts.model), weights(whole.model))


def test_frozen_encoders_and_inactive_methods_change_nothing():
    frozen, data = classifier_guided(), batches(3)
    frozen.model.left_encoder.requires_grad_(False)
    before = weights(frozen.model.left_encoder)
    wrapper = build_wrapper(frozen, balancer=dict(type='MMPareto'))
    for part in data:
        frozen.train_step(part, wrapper)
    assert torch.equal(weights(frozen.model.left_encoder), before)
    assert wrapper.balancer.stats['weight'].isfinite().all()

    inactive, plain = classifier_guided(), classifier_guided()
    wrapper = build_wrapper(inactive, balancer=dict(type='MMPareto'))
    wrapper.balancer.active = False
    other = build_wrapper(plain, balancer=None)
    for part in data:
        inactive.train_step(part, wrapper)
        plain.train_step(part, other)
    assert torch.equal(weights(inactive.model), weights(plain.model))


@pytest.mark.parametrize('count', [2, 3, 6])
@pytest.mark.parametrize(
    ('settings', 'task', 'labels'),
    [
        (dict(outputs=4, loss='CrossEntropyLoss'), 'ClassificationTask', torch.tensor([0, 3, 1])),
        (dict(outputs=1, loss='L1Loss'), 'RegressionTask', torch.tensor([-1.0, 0.5, 2.0])),
    ],
)
def test_trains_any_number_of_modalities(count, settings, task, labels):
    widths = {f'm{i}': i + 2 for i in range(count)}
    model = build(guided_config(dict(type=task, target='labels'), widths=widths, **settings))
    adam = dict(type='Adam', lr=1e-2)
    wrapper = build_wrapper(model, optimizer=adam, guide_optimizer=adam, balancer=dict(type='MMPareto'))
    data = dict(inputs=batch(widths), labels=labels)
    losses = [model.train_step(data, wrapper)['loss'].item() for _ in range(15)]
    assert losses[-1] < 0.8 * losses[0]
    assert wrapper.balancer.stats['weight'].shape == (count,)


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match='gamma > 0'):
        MMPareto(gamma=0)
    model = ToyModel(2).double()
    with pytest.raises(
        ValueError, match='losses of the guides at the encoders, which a PlainPass does not know'
    ):
        model.attached(MMPareto()).see(model.step(*toy_batch(2)))
