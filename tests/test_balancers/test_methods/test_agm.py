"""AGM against its published definition."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import AGM
from mmcggm.balancers.methods.agm import agm_coefficients
from tests.many import many_batches, many_guided
from tests.segmentors import slices, small_unet
from tests.tiny import batches, build_wrapper, classifier_guided, tiny_guided, tiny_runner

SGD = dict(type='SGD', lr=0.1)
losses = st.floats(0, 10)


def train(guided, data, balancer, **overrides):
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=balancer, **overrides)
    for batch in data:
        guided.train_step(batch, wrapper)
    return wrapper


@given(losses, losses, losses, losses, st.floats(0.1, 2))
def test_coefficients_of_two_modalities_are_the_papers(a, b, mean_a, mean_b, alpha):
    found = agm_coefficients(*torch.tensor([[a, b], [mean_a, mean_b]], dtype=torch.float64), alpha).tolist()
    pairs = ((mean_b - mean_a, b - a), (mean_a - mean_b, a - b))
    expected = [math.exp(alpha * min(math.exp(usual) - math.exp(now), 7)) for usual, now in pairs]
    assert found == pytest.approx(expected, rel=1e-6)


def test_coefficients_of_three_modalities_are_the_authors():
    scores, means = torch.tensor([[0.3, 0.9, 1.2], [0.8, 0.7, 1.5]], dtype=torch.float64)
    ratios, usual = (torch.exp((s.mean() - s) * 3 / 2) for s in (scores, means))
    torch.testing.assert_close(agm_coefficients(scores, means, 4.0), torch.exp(4 * (usual - ratios)))


@pytest.mark.parametrize('count', [2, 3, 6])
def test_with_a_sum_as_fusion_each_encoder_is_scaled(count):
    """There the response is the encoder's part of the logits, and the head's bias in equal shares."""
    guided, (batch,) = many_guided(count, late=True), many_batches(count, 1)
    model = copy.deepcopy(guided.model)
    model(**batch, mode='loss')['loss'].backward()
    scores = []
    for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True):
        response = F.linear(encoder(x), model.classifier.weight, model.classifier.bias / count)
        scores.append(F.cross_entropy(response, batch['label']))
    expected = agm_coefficients(torch.stack(scores), torch.zeros(count), 0.5)

    wrapper = train(guided, [batch], dict(type='AGM', alpha=0.5))
    torch.testing.assert_close(wrapper.balancer.stats['k'], expected)
    for new, old, k in zip(guided.model.encoders, model.encoders, expected, strict=True):
        torch.testing.assert_close(new.weight, old.weight - 0.1 * k * old.weight.grad)


def test_what_flows_back_through_a_response_is_scaled_with_any_fusion():
    """As the authors have it: hooks on the responses, of which the loss is a function."""
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    model = copy.deepcopy(guided.model)
    a, b = (encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True))
    both, only_a, only_b = (
        model.fuse(hs) for hs in ([a, b], [a, torch.zeros_like(b)], [torch.zeros_like(a), b])
    )
    responses = [(both - only_b + only_a) / 2, (both - only_a + only_b) / 2]
    scores = torch.stack([F.cross_entropy(response, batch['label']) for response in responses])
    coefficients = agm_coefficients(scores.detach(), torch.zeros(2), 1.5)
    for response, k in zip(responses, coefficients, strict=True):
        response.register_hook(lambda grad, k=k: k * grad)
    F.cross_entropy(sum(responses), batch['label']).backward()

    before = copy.deepcopy(guided.model)
    train(guided, [batch], dict(type='AGM', alpha=1.5))
    for new, old, p in zip(guided.model.parameters(), before.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.1 * p.grad)


def test_the_reference_is_the_mean_of_all_updates_before():
    guided, data = many_guided(3), many_batches(3, 4)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='AGM', alpha=2.0))
    seen = torch.zeros(0, 3)
    for batch in data:
        guided.train_step(batch, wrapper)
        stats = wrapper.balancer.stats
        means = seen.mean(0) if len(seen) else torch.zeros(3)
        torch.testing.assert_close(stats['k'], agm_coefficients(stats['response_loss'], means, 2.0))
        seen = torch.cat([seen, stats['response_loss'][None]])


def test_an_inactive_balancer_observes_and_changes_nothing():
    guided, data = many_guided(2), many_batches(2, 3)
    plain = copy.deepcopy(guided)
    balancer = AGM()
    balancer.active = False
    wrapper = train(guided, data, balancer)
    train(plain, data, None)
    for new, old in zip(guided.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(new, old)
    assert wrapper.balancer.state_dict()['updates'] == 3


def test_resumed_equals_uninterrupted():
    guided, data = many_guided(3), many_batches(3, 6)
    wrapper = train(guided, data[:3], dict(type='AGM'))
    resumed = copy.deepcopy(guided)
    again = build_wrapper(resumed, optimizer=SGD, balancer=dict(type='AGM'))
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for batch in data[3:]:
        guided.train_step(batch, wrapper)
        resumed.train_step(batch, again)
    for new, old in zip(resumed.parameters(), guided.parameters(), strict=True):
        assert torch.equal(new, old)


@pytest.mark.parametrize('overflow', [None, torch.tensor(1.0)])
def test_an_update_that_is_skipped_leaves_no_trace(overflow):
    guided, data = many_guided(2), many_batches(2, 2)
    balancer = train(guided, data[:1], dict(type='AGM')).balancer
    before = balancer.state_dict()
    batch = data[1] if overflow is not None else dict(data[1], x=data[1]['x'] * math.nan)
    guided(**batch, mode='loss')
    balancer.see(guided.take_pass())
    balancer.finish_update(overflow)
    assert all(torch.equal(value, before[name]) for name, value in balancer.state_dict().items())


def test_accumulated_batches_count_as_one_update():
    guided, data = many_guided(2), many_batches(2, 4)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='AGM'), accumulative_counts=2)
    wrapper.initialize_count_status(guided, 0, 4)
    for batch in data:
        guided.train_step(batch, wrapper)
    assert wrapper.balancer.state_dict()['updates'] == 2


def test_a_segmentor_of_four_modalities_trains():
    model = small_unet()
    wrapper = build_wrapper(model, optimizer=SGD, balancer=dict(type='AGM', alpha=4.0))
    with wrapper.optim_context(model):
        loss, _ = model.parse_losses(model(*slices(model.modalities), mode='loss'))
    wrapper.update_params(loss)
    assert all(p.isfinite().all() for p in model.parameters())
    assert wrapper.balancer.stats['k'].shape == (4,)


def test_trains_in_a_runner_and_in_half_precision(tmp_path):
    settings = dict(type='BalancedAmpOptimWrapper', optimizer=SGD, balancer=dict(type='AGM', alpha=1.5))
    model = classifier_guided()
    runner = tiny_runner(
        tmp_path, model=model, optim_wrapper=dict(settings, constructor='GuidedOptimWrapperConstructor')
    )
    runner.train()
    scalars = runner.message_hub.log_scalars
    assert all(p.isfinite().all() for p in model.parameters())
    assert {'train/balance/k/left', 'train/balance/response_loss/right'} <= set(scalars)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match='alpha > 0'):
        AGM(alpha=0)
    with pytest.raises(ValueError, match='TinyTask has no probabilities'):
        train(tiny_guided(), batches(1), AGM())
