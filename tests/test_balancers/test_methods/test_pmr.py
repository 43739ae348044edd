"""PMR against its published formula, and its prototypes against class means."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import PMR
from mmcggm.balancers.methods.pmr import pmr_coefficients
from tests.test_models.predictors import batch, build, guided_config
from tests.tiny import attached, batches, build_wrapper, classifier_guided, tiny_guided, weights


def pmr_config(**settings) -> dict:
    return dict(type='PMR', **{'entropy_until': 1.0, 'momentum': 0.5, **settings})


def train(guided, data, **settings) -> PMR:
    wrapper = build_wrapper(guided, optimizer=dict(type='SGD', lr=0.1), **settings)
    for part in data:
        guided.train_step(part, wrapper)
    return wrapper.balancer


def prototypes(balancer: PMR) -> list[torch.Tensor]:
    *sums, counts = balancer.state_dict()['prototypes']
    return [x / counts for x in sums]


@given(st.floats(0.01, 50), st.floats(0.01, 50))
def test_coefficients_of_two_modalities_are_the_papers(first, second):
    slow, fast = pmr_coefficients(torch.tensor([first, second], dtype=torch.float64))
    ratio = first / second
    beta, gamma = min(max(1 / ratio - 1, 0), 1), min(max(ratio - 1, 0), 1)
    assert slow.tolist() == pytest.approx([beta, gamma]) and fast.tolist() == pytest.approx([gamma, beta])


@given(st.lists(st.floats(0, 50), min_size=2, max_size=6))
def test_a_modality_is_slow_or_fast_and_not_both(scores):
    slow, fast = pmr_coefficients(torch.tensor(scores, dtype=torch.float64))
    assert not (slow * fast).any() and torch.cat([slow, fast]).max() <= 1
    assert torch.cat([slow, fast]).isfinite().all()


def test_prototypes_are_class_means_of_the_last_updates():
    guided, data = classifier_guided(), batches(3)
    encoders = guided.model.left_encoder, guided.model.right_encoder
    expected = []
    for encoder, name in zip(encoders, ('left', 'right'), strict=True):
        encoder.requires_grad_(False)
        parts = [
            torch.stack([encoder(d[name])[d['label'] == k].sum(0) for k in (0, 2)]) for d in data
        ]  # class 1 is where the sign is zero: no sample
        counts = [torch.stack([(d['label'] == k).sum() for k in (0, 2)])[:, None] for d in data]
        expected.append(
            sum(w * p for w, p in zip((0.25, 0.5, 1), parts, strict=True))
            / sum(w * c for w, c in zip((0.25, 0.5, 1), counts, strict=True))
        )
    balancer = train(guided, data, balancer=pmr_config())
    for found, mean in zip(prototypes(balancer), expected, strict=True):
        torch.testing.assert_close(found[[0, 2]], mean)
    assert not any(x[1].any() for x in balancer.state_dict()['prototypes'])


@pytest.mark.parametrize('progress', [0.0, 0.5])
def test_the_term_is_the_papers(progress):
    guided, (first, second) = classifier_guided(), batches(2)
    first['label'][:3] = 1  # so that every class has a prototype
    balancer = train(guided, [first], balancer=pmr_config(alpha=3.0, mu=0.2, entropy_until=0.5))
    balancer.clock.progress = progress
    guided(**second, mode='loss')
    term = balancer.see(guided.take_pass())

    truth, cross_entropies, entropies = [], [], []
    for name, means in zip(guided.modalities, prototypes(balancer), strict=True):
        vectors = getattr(guided.model, f'{name}_encoder')(second[name])
        distances = (vectors[:, None] - means[None]).square().sum(-1).sqrt()
        probabilities = torch.exp(-distances) / torch.exp(-distances).sum(1, keepdim=True)
        own = probabilities[range(16), second['label']]
        truth.append(own.sum())
        cross_entropies.append(-own.log().mean())
        entropies.append(-(probabilities * probabilities.log()).sum(1).mean())
    ratio = (truth[0] / truth[1]).item()
    beta, gamma = min(max(1 / ratio - 1, 0), 1), min(max(ratio - 1, 0), 1)
    expected = 3.0 * (beta * cross_entropies[0] + gamma * cross_entropies[1])
    if progress < 0.5:
        expected = expected - 0.2 * (gamma * entropies[0] + beta * entropies[1])
    torch.testing.assert_close(term, expected)
    encoder = guided.model.left_encoder.weight
    found, wanted = (
        torch.autograd.grad(x, encoder, retain_graph=True, allow_unused=True)[0] for x in (term, expected)
    )
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(balancer.stats['score'], torch.stack(truth).detach())


def test_either_term_narrows_the_gap_from_its_side():
    """Both modalities tell the label; the representations of one are far apart, those of the other not."""
    (data,) = batches(1)
    data['left'] = data['right'] = torch.eye(4)[:1] * (data['label'].unsqueeze(1) - 1.0)
    scores, gaps = {}, {}
    for run, alpha, mu in (('plain', 0, 0), ('spurred', 5, 0), ('held', 0, 5)):
        guided = classifier_guided()
        with torch.no_grad():
            guided.model.left_encoder.weight.mul_(2)
            guided.model.right_encoder.weight.mul_(0.2)
        balancer = train(guided, [data] * 10, balancer=pmr_config(alpha=alpha, mu=mu))
        scores[run], gaps[run] = balancer.stats['score'], balancer.stats['slow'][1]
    assert max(gaps['spurred'], gaps['held']) < 0.9 * gaps['plain']
    assert scores['spurred'][1] > 1.04 * scores['plain'][1]
    assert scores['held'][0] < 0.96 * scores['plain'][0]


def test_the_first_update_and_unknown_classes_add_nothing():
    guided, plain, (first, second) = classifier_guided(), classifier_guided(), batches(2)
    train(guided, [first], balancer=pmr_config())
    train(plain, [first], balancer=None)
    assert torch.equal(weights(guided.model), weights(plain.model))
    balancer = attached(PMR(entropy_until=1), guided)
    for label in (0, 2):
        second['label'][:] = label
        guided(**second, mode='loss')
        term = balancer.see(guided.take_pass())
        balancer.finish_update()
        assert term == 0 and not torch.autograd.grad(term, guided.model.left_encoder.weight)[0].any()


def test_an_overflow_and_a_bad_sample_leave_no_trace():
    guided, (first, second) = classifier_guided(), batches(2)
    balancer = train(guided, [first], balancer=pmr_config())
    before = copy.deepcopy(balancer.state_dict())
    for overflow in (1.0, 0.0):
        guided(**second, mode='loss')
        balancer.see(guided.take_pass())
        balancer.finish_update(torch.tensor(overflow))
        after = balancer.state_dict()['prototypes']
        same = [torch.equal(a, b) for a, b in zip(before['prototypes'], after, strict=True)]
        assert all(same) == bool(overflow)

    twin = attached(PMR(), guided)
    for clean in (False, True):
        part = {name: value.clone() for name, value in second.items()}
        if clean:
            part = {name: value[1:] for name, value in part.items()}
        else:
            part['left'][0] = float('nan')
        guided(**part, mode='loss')
        chosen = twin if clean else (balancer := attached(PMR(), guided))
        chosen.see(guided.take_pass())
        chosen.finish_update()
    torch.testing.assert_close(balancer.state_dict(), twin.state_dict())
    assert sum(balancer.events.values()) == 1


def test_resume_equals_uninterrupted_and_micro_batches_one_batch():
    settings = dict(optimizer=dict(type='SGD', lr=0.1), balancer=pmr_config())
    data, through = batches(6), classifier_guided()
    wrapper = build_wrapper(through, **settings)
    for part in data[:3]:
        through.train_step(part, wrapper)
    resumed = copy.deepcopy(through)
    other = build_wrapper(resumed, **settings)
    other.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for part in data[3:]:
        through.train_step(part, wrapper)
        resumed.train_step(part, other)
    assert torch.equal(weights(resumed), weights(through))

    whole, parts = classifier_guided(), classifier_guided()
    first = train(whole, data[:1], balancer=pmr_config())
    halves = [{n: v[half] for n, v in data[0].items()} for half in (slice(8), slice(8, None))]
    second = train(parts, halves, balancer=pmr_config(), accumulative_counts=2)
    torch.testing.assert_close(first.state_dict(), second.state_dict())


@pytest.mark.parametrize('count', [2, 3, 6])
def test_trains_any_number_of_modalities(count):
    widths = {f'm{i}': i + 2 for i in range(count)}
    task = dict(type='ClassificationTask', target='labels')
    model = build(guided_config(task, widths=widths, outputs=4, loss='CrossEntropyLoss'))
    adam = dict(type='Adam', lr=1e-2)
    wrapper = build_wrapper(model, optimizer=adam, guide_optimizer=adam, balancer=pmr_config())
    data = dict(inputs=batch(widths), labels=torch.tensor([0, 3, 1]))
    losses = [model.train_step(data, wrapper)['loss'].item() for _ in range(15)]
    assert losses[-1] < 0.8 * losses[0]
    assert wrapper.balancer.stats['slow'].shape == (count,)


def test_mistakes_are_refused():
    for settings, message in ((dict(alpha=-1), 'alpha >= 0'), (dict(momentum=1), 'momentum < 1')):
        with pytest.raises(ValueError, match=message):
            PMR(**settings)
    guided = tiny_guided()
    guided(**batches(1)[0], mode='loss')
    with pytest.raises(ValueError, match='TinyTask has no class a sample'):
        attached(PMR(), guided).see(guided.take_pass())
    guided = classifier_guided()
    guided(**batches(1)[0], mode='loss')
    seen = guided.take_pass()
    seen.vectors = lambda: [None, torch.zeros(16, 8)]
    with pytest.raises(ValueError, match='lacks one'):
        attached(PMR(), guided).see(seen)
