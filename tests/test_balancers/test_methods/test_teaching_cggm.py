"""TeachingCGGM: what reaches each encoder, and that it is CGGM where nothing is taught."""

import copy

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import CGGM, TeachingCGGM
from tests.many import many_batches, many_guided
from tests.tiny import batches, build_wrapper, tiny_guided, weights

RATE = 0.1


def sgd_step(guided, batch, **balancer):
    sgd = dict(type='SGD', lr=RATE)
    wrapper = build_wrapper(guided, optimizer=sgd, guide_optimizer=sgd, balancer=balancer)
    guided.train_step(batch, wrapper)
    return wrapper


def test_encoders_get_the_fused_gradient_and_their_guides_weighted_by_b():
    guided, (batch,) = tiny_guided(), batches(1)
    before = copy.deepcopy(guided)
    wrapper = sgd_step(guided, batch, type='TeachingCGGM', teach=0.7, magnitude='none')
    terms = wrapper.balancer.stats['B'].tolist()
    assert min(terms) >= 0 and sum(terms) == pytest.approx(len(terms) - 1)
    model = before.model
    fused = model(**batch, mode='loss')['loss']
    lessons = lessons_of(before, batch)
    share = len(terms) / (len(terms) - 1)
    expected = fused + 0.7 * sum(b * share * lesson for b, lesson in zip(terms, lessons, strict=True))
    grads = torch.autograd.grad(expected, list(model.parameters()))
    for old, new, grad in zip(model.parameters(), guided.model.parameters(), grads, strict=True):
        torch.testing.assert_close(new, old - RATE * grad)
    # The guides learn from their own losses, unweighted.
    grads = torch.autograd.grad(sum(lessons_of(before, batch)), list(before.guides.parameters()))
    for old, new, grad in zip(before.guides.parameters(), guided.guides.parameters(), grads, strict=True):
        torch.testing.assert_close(new, old - RATE * grad)


def lessons_of(guided, batch):
    return [
        F.cross_entropy(guide(getattr(guided.model, f'{name}_encoder')(batch[name])), batch['label'])
        for name, guide in guided.guides.items()
    ]


@pytest.mark.parametrize(('settings', 'active'), [(dict(teach=0.0), True), (dict(teach=1.0), False)])
def test_without_a_lesson_it_is_cggm(settings, active):
    results = []
    for kind, more in (('TeachingCGGM', settings), ('CGGM', {})):
        torch.manual_seed(0)
        guided = tiny_guided()
        wrapper = build_wrapper(
            guided,
            optimizer=dict(type='SGD', lr=RATE),
            balancer=dict(type=kind, rho=1.3, lam=0.2, progress='SmoothedProgress', **more),
        )
        wrapper.balancer.active = active
        for batch in batches(3):
            guided.train_step(batch, wrapper)
        results.append(weights(guided))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize('modalities', [2, 3, 6])
def test_any_number_of_modalities(modalities):
    torch.manual_seed(0)
    guided = many_guided(modalities)
    before = copy.deepcopy(guided.state_dict())
    wrapper = build_wrapper(guided, balancer=dict(type='TeachingCGGM', lam=0.1))
    for batch in many_batches(modalities, 2):
        guided.train_step(batch, wrapper)
    assert all(value.isfinite().all() for value in guided.state_dict().values())
    assert any(not torch.equal(before[name], value) for name, value in guided.state_dict().items())
    assert len(wrapper.balancer.stats['B']) == modalities


def test_arguments_are_checked():
    with pytest.raises(ValueError, match='teach >= 0, got -1'):
        TeachingCGGM(teach=-1)
    with pytest.raises(ValueError, match='rho > 0'):
        TeachingCGGM(rho=0.0)
    assert isinstance(TeachingCGGM(), CGGM)
