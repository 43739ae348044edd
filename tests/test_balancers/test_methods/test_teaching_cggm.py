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


LEVELS = dict(type='LevelProgress', temperature=0.1)  # whose B is not neutral in the first step


@pytest.mark.parametrize('magnitude', ['none', 'gradient', 'update'])
@pytest.mark.parametrize('rho', ['neutral', 1.3])
def test_encoders_move_by_the_scaled_task_and_their_guides_weighted_by_w(magnitude, rho):
    guided, (batch,) = tiny_guided(), batches(1)
    before = copy.deepcopy(guided)
    wrapper = sgd_step(
        guided, batch, type='TeachingCGGM', teach=0.7, rho=rho, magnitude=magnitude, progress=LEVELS
    )
    terms = wrapper.balancer.stats['B'].tolist()
    share = len(terms) / (len(terms) - 1)
    scale = share if rho == 'neutral' else rho
    assert min(terms) >= 0 and sum(terms) == pytest.approx(len(terms) - 1)
    assert max(terms) > 1.2 * min(terms)
    parameters = dict(before.model.named_parameters())
    fused, lessons = before.model(**batch, mode='loss')['loss'], lessons_of(before, batch)
    task = dict(zip(parameters, torch.autograd.grad(fused, list(parameters.values())), strict=True))
    expected = dict(task)
    for modality, term, lesson in zip(before.guides, terms, lessons, strict=True):
        names = [name for name in parameters if name.startswith(f'{modality}_encoder')]
        assert names
        taught = torch.autograd.grad(lesson, [parameters[name] for name in names])
        for name, grad in zip(names, taught, strict=True):
            scaled = task[name] if magnitude == 'none' else scale * term * task[name]
            expected[name] = scaled + 0.7 * share * term * grad
    for name, new in guided.model.named_parameters():
        torch.testing.assert_close(new, parameters[name] - RATE * expected[name])
    # The guides learn from their own losses, unweighted.
    grads = torch.autograd.grad(sum(lessons_of(before, batch)), list(before.guides.parameters()))
    for old, new, grad in zip(before.guides.parameters(), guided.guides.parameters(), grads, strict=True):
        torch.testing.assert_close(new, old - RATE * grad)


@pytest.mark.parametrize('magnitude', ['gradient', 'update'])
def test_accumulated_lessons_are_weighted_by_the_scores_of_the_whole_update(magnitude):
    """Two micro-batches move the model as the batch of both."""
    (whole,) = batches(1)
    halves = [{name: value[half] for name, value in whole.items()} for half in halves_of(whole)]
    results = []
    for parts in ([whole], halves):
        torch.manual_seed(0)
        guided = tiny_guided()
        wrapper = build_wrapper(
            guided,
            optimizer=dict(type='SGD', lr=RATE),
            balancer=dict(type='TeachingCGGM', magnitude=magnitude, progress=LEVELS),
            accumulative_counts=len(parts),
        )
        wrapper.initialize_count_status(guided, 0, len(parts))
        for part in parts:
            guided.train_step(part, wrapper)
        results.append(weights(guided))
    torch.testing.assert_close(*results)


def halves_of(batch):
    samples = len(batch['label'])
    return slice(samples // 2), slice(samples // 2, samples)


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
    for bounds in (None, (-0.1, 1.0)):
        with pytest.raises(ValueError, match=r'TeachingCGGM needs bounds \(low, high\), low >= 0'):
            TeachingCGGM(bounds=bounds)
    with pytest.raises(ValueError, match='rho > 0'):
        TeachingCGGM(rho=0.0)
    assert isinstance(TeachingCGGM(), CGGM)
