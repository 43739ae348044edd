"""LFM: modalities are matched before labels are fitted."""

import copy
import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import LFM
from mmcggm.balancers.pairwise_losses import contrast, divergence
from tests.many import many_batches, many_guided
from tests.streams import Streams, streams_batch, streams_guided
from tests.tiny import attached_wrapper, batches, build_wrapper, classifier_guided, tiny_guided, tiny_runner
from tests.toy import ToyModel

SGD = dict(type='SGD', lr=0.1)


def representations(model, batch):
    return [encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]


@pytest.mark.parametrize('temperature', [0.3, 1.0])
def test_contrast_of_orthogonal_samples_in_closed_form(temperature):
    own, scale = torch.eye(4, 6), torch.tensor([[0.5], [1.0], [2.0], [3.0]])
    matched = math.log(1 + 3 * math.exp(-1 / temperature))
    assert contrast(own, scale * own, temperature).item() == pytest.approx(matched, rel=1e-4)
    shifted = math.log(3 + math.exp(1 / temperature))
    assert contrast(own, own.roll(1, 0), temperature).item() == pytest.approx(shifted, rel=1e-4)


def test_contrast_is_symmetric_and_sees_angles_alone():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 5, 3, generator=generator)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    found = contrast(first, second, 0.5)
    torch.testing.assert_close(contrast(second, first, 0.5), found)
    torch.testing.assert_close(contrast(2 * first @ rotation, 7 * second @ rotation, 0.5), found)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), scale=st.floats(0, 50))
def test_divergence_is_a_bounded_symmetric_distance(seed, scale):
    first, second = scale * torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(seed))
    found = divergence(first, second).item()
    assert -1e-6 <= found <= math.log(2) + 1e-6
    assert divergence(second, first).item() == pytest.approx(found, abs=1e-6)
    assert divergence(first, first + 3.0).item() == pytest.approx(0, abs=1e-6)


def test_divergence_is_the_mean_of_two_to_the_mixture():
    first, second = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    p, q = first.softmax(1), second.softmax(1)
    mixed = ((p + q) / 2).log()
    expected = sum(F.kl_div(mixed, x, reduction='batchmean') for x in (p, q)) / 2
    torch.testing.assert_close(divergence(first, second), expected)


@pytest.mark.parametrize('count', [2, 3, 6])
@pytest.mark.parametrize('matching', ['contrastive', 'divergence'])
def test_an_update_is_that_of_the_weighted_sum(count, matching):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    model, guides = copy.deepcopy(guided.model), copy.deepcopy(guided.guides)
    compared = representations(model, batch)
    if matching == 'divergence':
        compared = [guide(h) for guide, h in zip(guides.values(), compared, strict=True)]
        pairs = [divergence(a, b) for a, b in combinations(compared, 2)]
    else:
        pairs = [contrast(a, b, 0.07) for a, b in combinations(compared, 2)]
    loss = model(**batch, mode='loss')['loss']
    (2 * (0.3 * loss + 0.7 * torch.stack(pairs).mean())).backward()

    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='LFM', alpha=0.7, matching=matching))
    plain = copy.deepcopy(guided)
    guided.train_step(batch, wrapper)
    for new, old in zip(guided.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.1 * old.grad)
    plain.train_step(batch, build_wrapper(plain, optimizer=SGD, balancer=None))
    for new, expected in zip(guided.guides.parameters(), plain.guides.parameters(), strict=True):
        torch.testing.assert_close(new, expected)  # guides learn from their own losses alone


def test_half_of_each_is_the_sum():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    wrapper = attached_wrapper(guided, balancer=dict(type='LFM', alpha=0.5))
    with wrapper.optim_context(guided):
        guided(**batch, mode='loss')
    term = wrapper.balancer.see(guided.take_pass())
    torch.testing.assert_close(term, contrast(*representations(guided.model, batch), 0.07))


def test_the_heuristic_falls_by_epoch():
    balancer, seen = ToyModel(2).attached(LFM()), []
    for _ in range(3):
        seen.append(balancer.alpha)
        balancer.end_epoch()
    assert seen == pytest.approx([1 - math.exp(-1), 1 - math.exp(-1 / 2), 1 - math.exp(-1 / 3)])
    balancer.active, before = False, balancer.alpha
    balancer.end_epoch()
    assert balancer.alpha == before
    scheduled = ToyModel(2).attached(LFM(alpha=[(0, 1.0), (0.5, 0.2)]))
    scheduled.clock.progress = 0.25
    assert scheduled.alpha == pytest.approx(0.6)


@pytest.mark.parametrize('matching', ['contrastive', 'divergence'])
@pytest.mark.parametrize('count', [2, 3])
def test_the_gradient_of_the_weight_is_that_of_finite_differences(count, matching):
    """What a change of α in one update does to the next batch's loss, by moving the encoders."""
    start, data = many_guided(count).double(), many_batches(count, 2)
    data = [dict(x=batch['x'].double(), label=batch['label']) for batch in data]
    step = 1e-3

    def trained(alpha, some):
        guided = copy.deepcopy(start)
        balancer = dict(type='LFM', alpha=alpha, matching=matching)
        wrapper = build_wrapper(guided, optimizer=dict(type='SGD', lr=1e-3), balancer=balancer)
        for batch in some:
            guided.train_step(batch, wrapper)
        return guided.model, wrapper.balancer.stats

    def left_behind(encoders):
        model = copy.deepcopy(middle)
        model.encoders = encoders
        return model(**data[1], mode='loss')['loss']

    # 0.95 is where a learnt α starts.
    middle, low, high = (trained(0.95 + change, data[:1])[0] for change in (0, -step, step))
    slope = (left_behind(high.encoders) - left_behind(low.encoders)).item() / (2 * step)
    # Of ∂L/∂α = -2 η ⟨g', d⟩ the balancer has the cosine; the norms are found from the same models.
    ends = zip(low.encoders.parameters(), high.encoders.parameters(), strict=True)
    moved = torch.cat([(b - a).flatten() for a, b in ends]).norm().item() / (2 * step)  # 2 η ‖d‖
    gradients = torch.autograd.grad(
        middle(**data[1], mode='loss')['loss'], list(middle.encoders.parameters())
    )
    gradient = torch.cat([g.flatten() for g in gradients]).norm().item()
    cosine = trained('learned', data)[1]['cos'].item()
    assert slope == pytest.approx(-cosine * moved * gradient, rel=1e-3)


def test_the_weight_follows_the_mean_cosine_within_its_bounds():
    guided, data = many_guided(2), many_batches(2, 4)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='LFM', alpha='learned', rate=0.5))
    balancer, cosines = wrapper.balancer, []
    for batch in data:
        guided.train_step(batch, wrapper)
        cosines.append(balancer.stats.get('cos'))
    assert cosines[0] is None
    balancer.end_epoch()
    expected = 0.95 + 0.5 * torch.stack(cosines[1:]).mean().item()
    assert expected < 0.94  # to fit labels is what lowers the loss
    assert balancer.alpha == pytest.approx(expected, rel=1e-5)
    for _ in range(6):
        for batch in data:
            guided.train_step(batch, wrapper)
        balancer.end_epoch()
        assert 0.05 <= balancer.alpha <= 0.95


def test_micro_batches_of_an_update_count_as_one():
    whole, data = many_guided(2), many_batches(2, 2)
    split = copy.deepcopy(whole)
    found = []
    for guided, repeats in ((whole, 1), (split, 2)):
        settings = dict(optimizer=SGD, balancer=dict(type='LFM', alpha='learned'))
        wrapper = build_wrapper(guided, accumulative_counts=repeats, **settings)
        for batch in data:
            for _ in range(repeats):
                guided.train_step(batch, wrapper)
        found.append(wrapper.balancer.stats['cos'])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize('alpha', ['heuristic', 'learned'])
def test_resumed_equals_uninterrupted(alpha):
    guided, data = many_guided(2), many_batches(2, 6)
    settings = dict(optimizer=SGD, balancer=dict(type='LFM', alpha=alpha))
    wrapper = build_wrapper(guided, **settings)

    def train(model, optim_wrapper, some):
        for batch in some:
            model.train_step(batch, optim_wrapper)
        optim_wrapper.balancer.end_epoch()

    train(guided, wrapper, data[:3])
    resumed = copy.deepcopy(guided)
    again = build_wrapper(resumed, **settings)
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for model, optim_wrapper in ((guided, wrapper), (resumed, again)):
        train(model, optim_wrapper, data[3:])
        model.train_step(data[0], optim_wrapper)
    for new, old in zip(resumed.parameters(), guided.parameters(), strict=True):
        assert torch.equal(new, old)


@pytest.mark.parametrize('first', [True, False])
def test_an_update_that_is_skipped_is_not_judged_and_judges_none(first):
    guided, data = many_guided(2), many_batches(2, 3)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='LFM', alpha='learned'))
    if not first:
        guided.train_step(data[0], wrapper)
    with wrapper.optim_context(guided):
        loss = guided(**data[1], mode='loss')['loss']
    (loss + wrapper.balancer.see(guided.take_pass())).backward()
    wrapper.balancer.finish_update(torch.tensor(1.0))
    assert wrapper.balancer.cosines.tolist() == [0, 0]
    guided.zero_grad()
    guided.train_step(data[2], wrapper)
    assert wrapper.balancer.cosines[1] == (not first)


def test_pairs_that_a_batch_lacks_are_left_out():
    torch.manual_seed(0)
    guided, batch = streams_guided(Streams(modalities=3)), streams_batch(modalities=3)
    wrapper = build_wrapper(guided, balancer=dict(type='LFM'))
    del batch['x1']
    with torch.no_grad():
        first, last = (guided.model.streams[i](batch[f'x{i}']) for i in (0, 2))
    guided.train_step(batch, wrapper)
    torch.testing.assert_close(wrapper.balancer.stats['matching'], contrast(first, last, 0.07))
    del batch['x2']
    with wrapper.optim_context(guided):
        guided(**batch, mode='loss')
    assert wrapper.balancer.see(guided.take_pass()) is None
    with pytest.raises(ValueError, match='two modalities in every batch'):
        guided.train_step(batch, build_wrapper(guided, balancer=dict(type='LFM', alpha='learned')))


def test_inactive_it_trains_jointly():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    plain, wrapper = copy.deepcopy(guided), build_wrapper(guided, optimizer=SGD, balancer=dict(type='LFM'))
    wrapper.balancer.active = False
    guided.train_step(batch, wrapper)
    plain.train_step(batch, build_wrapper(plain, optimizer=SGD, balancer=None))
    for new, expected in zip(guided.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(new, expected)


@pytest.mark.parametrize('settings', [dict(alpha='learned'), dict(matching='divergence')])
def test_trains_in_a_runner_and_in_half_precision(tmp_path, settings):
    model = classifier_guided()
    config = dict(
        type='BalancedAmpOptimWrapper',
        constructor='GuidedOptimWrapperConstructor',
        optimizer=SGD,
        balancer=dict(type='LFM', **settings),
    )
    runner = tiny_runner(tmp_path, model=model, optim_wrapper=config)
    runner.train()
    assert all(p.isfinite().all() for p in model.parameters())
    weights = runner.message_hub.get_scalar('train/balance/alpha').data[0]
    assert weights[-1] < weights[0]


def test_what_it_cannot_do_is_refused():
    for bad, match in (
        (dict(alpha=2.0), r'alpha in \[0, 1\]'),
        (dict(alpha='soon'), '`alpha` must be'),
        (dict(matching='euclidean'), "matching='contrastive'"),
        (dict(temperature=0), 'temperature > 0'),
        (dict(rate=0), 'rate > 0'),
    ):
        with pytest.raises(ValueError, match=match):
            LFM(**bad)
    with pytest.raises(ValueError, match='one width'):
        contrast(torch.ones(2, 3), torch.ones(2, 4), 1.0)
    guided = tiny_guided(guide=dict(type='TinyGuide', outputs=3))
    guided.train_step(batches(1)[0], build_wrapper(guided, balancer=dict(type='LFM')))  # needs no labels
    with pytest.raises(ValueError, match='predict one number'):
        divergence(torch.ones(2, 1), torch.ones(2, 1))
