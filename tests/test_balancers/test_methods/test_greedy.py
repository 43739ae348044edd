"""Greedy against its published definition."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmcggm.balancers import Greedy, Training
from tests.many import many_batches, many_guided
from tests.tiny import attached, build_wrapper, tiny_guided, tiny_runner
from tests.toy import Shown

SGD = dict(type='SGD', lr=0.1)


def trained(guided, data, **settings):
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='Greedy', **settings))
    resting = []
    for batch in data:
        guided.train_step(batch, wrapper)
        resting.append(wrapper.balancer.stats['rests'].tolist())
    return wrapper, torch.tensor(resting)


def resting(guided, indices):
    """Return a balancer with means of 0.5, in whose next updates the modalities ``indices`` rest."""
    balancer, count = Greedy(), len(guided.modalities)
    rests = torch.tensor([i in indices for i in range(count)])
    totals = [[torch.tensor([*[2.0] * 8, 4.0])] for _ in range(count)]
    attached(balancer, guided).load_state_dict(
        dict(effort=torch.ones(count), left=torch.tensor(3), rests=rests, totals=totals)
    )
    return balancer


def published_decisions(effective, shared, epsilon, window):
    """Return whom each update is for, or None, with bypass parameters that both branches share."""
    main, bypass, mode, decisions, left = [0.0, 0.0], 0.0, None, [], 0
    for step, other in zip(effective, shared, strict=True):
        decisions.append(mode)
        if mode is None:
            main, bypass = [m + e for m, e in zip(main, step, strict=True)], bypass + other
            difference = math.log10(bypass / main[0]) - math.log10(bypass / main[1])
            if abs(difference) > epsilon:
                mode, left = (0 if difference > 0 else 1), window
        else:
            left -= 1
            mode = mode if left else None
    return decisions


@pytest.mark.parametrize(('epsilon', 'window'), [(0.01, 5), (0.3, 2), (0.1, 1)])
def test_decisions_for_two_modalities_are_the_published_ones(epsilon, window):
    generator = torch.Generator().manual_seed(0)
    encoders = [[nn.Parameter(torch.randn(3, 2, generator=generator))] for _ in range(2)]
    effective, shared, found, balancer = (
        [],
        torch.rand(60, generator=generator).tolist(),
        [],
        Greedy(epsilon, window),
    )
    balancer.attach(Training(('a', 'b'), encoders))
    for step in range(60):
        for index, (parameter,) in enumerate(encoders):
            louder = 2 if (step // 20 + index) % 2 else 1
            parameter.grad = louder * torch.randn(3, 2, generator=generator)
        effective.append([(p.grad.norm() ** 2 / p.norm() ** 2).item() for (p,) in encoders])
        balancer.see(Shown(representations=[[torch.ones(1, 2)]] * 2))
        balancer.finish_update()
        rests = balancer.stats['rests'].tolist()
        found.append(rests.index(0) if any(rests) else None)
    assert found == published_decisions(effective, shared, epsilon, window)
    assert set(found) - {None}


def test_an_update_of_its_own_sees_the_others_means_and_moves_one_encoder():
    guided, (batch,) = many_guided(3), many_batches(3, 1)
    model = copy.deepcopy(guided.model)
    guided.train_step(batch, build_wrapper(guided, optimizer=SGD, balancer=resting(guided, (0, 2))))

    own = model.encoders[1](batch['x'][:, 1])
    F.cross_entropy(
        model.fuse([own, torch.full_like(own, 0.5), torch.full_like(own, 0.5)]), batch['label']
    ).backward()
    for name, parameter in model.named_parameters():
        moved = guided.model.get_parameter(name)
        gradient = 0 if parameter.grad is None else parameter.grad
        torch.testing.assert_close(moved, parameter - 0.1 * gradient)
    assert torch.equal(guided.model.encoders[0].weight, model.encoders[0].weight)


def test_means_are_over_all_samples_and_positions_of_the_training():
    generator = torch.Generator().manual_seed(0)
    shapes = ((5,), (7, 5), (5, 3, 2))  # a vector, a sequence, a map
    for shape in shapes:
        balancer = Greedy()
        encoders = [[nn.Parameter(torch.ones(1))] for _ in range(2)]
        balancer.attach(Training(('a', 'b'), encoders))
        seen = []
        for size in (4, 2, 3):
            x = torch.randn(size, *shape, generator=generator)
            for change in balancer.pass_changes().values():
                assert torch.equal(change(x), x)
            balancer.see(Shown(representations=[[x], [x]]))
            seen.append(x if x.ndim < 4 else x.movedim(1, -1))
            for (parameter,) in encoders:
                parameter.grad = torch.ones(1)
            balancer.finish_update()
        state = balancer.state_dict() | {'rests': torch.tensor([True, False])}
        balancer.load_state_dict(state)
        expected = torch.cat([s.reshape(-1, 5) for s in seen]).mean(0)
        found = balancer.pass_changes()[0](x)
        assert found.shape == x.shape
        found = (found if x.ndim < 4 else found.movedim(1, -1)).reshape(-1, 5)
        torch.testing.assert_close(found, expected.expand_as(found))


@pytest.mark.parametrize('count', [2, 3, 6])
def test_the_modality_that_is_learnt_fastest_rests(count):
    _, rests = trained(many_guided(count), many_batches(count, 60))
    assert rests[:, 0].mean() > 0.7  # its encoder moves most
    assert rests[:, 1:].mean(0).min() < 0.7
    assert set(rests.sum(1).tolist()) == {0, count - 1}


def test_two_modalities_come_closer_in_speed():
    def spread(epsilon):
        wrapper, _ = trained(many_guided(2), many_batches(2, 300), epsilon=epsilon)
        return wrapper.balancer.stats['speed'].diff().abs()

    assert spread(0.01) < 0.8 * spread(100)


def test_inactive_it_observes_and_replaces_nothing():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    plain, wrapper = (
        copy.deepcopy(guided),
        build_wrapper(guided, optimizer=SGD, balancer=resting(guided, (0,))),
    )
    wrapper.balancer.active = False
    guided.train_step(batch, wrapper)
    plain.train_step(batch, build_wrapper(plain, optimizer=SGD, balancer=None))
    for new, expected in zip(guided.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(new, expected)
    assert wrapper.balancer.state_dict()['totals'][0][0][-1] == 4 + len(batch['x'])


def test_resumed_equals_uninterrupted():
    guided, data = many_guided(3), many_batches(3, 12)
    wrapper, _ = trained(guided, data[:5])
    resumed = copy.deepcopy(guided)
    again = build_wrapper(resumed, optimizer=SGD, balancer=dict(type='Greedy'))
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for batch in data[5:]:
        guided.train_step(batch, wrapper)
        resumed.train_step(batch, again)
    for new, old in zip(resumed.parameters(), guided.parameters(), strict=True):
        assert torch.equal(new, old)


def test_an_update_that_is_skipped_leaves_no_trace():
    guided, data = many_guided(2), many_batches(2, 2)
    wrapper, _ = trained(guided, data[:1])
    balancer = wrapper.balancer
    before = copy.deepcopy(balancer.state_dict())
    with wrapper.optim_context(guided):
        sum(guided(**data[1], mode='loss').values()).backward()
    balancer.see(guided.take_pass())
    balancer.finish_update(torch.tensor(1.0))
    torch.testing.assert_close(balancer.state_dict(), before, rtol=0, atol=0)


def test_trains_in_a_runner_without_probabilities(tmp_path):
    model = tiny_guided()
    config = dict(
        type='BalancedAmpOptimWrapper',
        constructor='GuidedOptimWrapperConstructor',
        optimizer=SGD,
        accumulative_counts=2,
        balancer=dict(type='Greedy'),
    )
    runner = tiny_runner(tmp_path, model=model, optim_wrapper=config)
    runner.train()
    assert all(p.isfinite().all() for p in model.parameters())
    assert {'train/balance/speed/left', 'train/balance/rests/right'} <= set(runner.message_hub.log_scalars)


def test_a_frozen_encoder_and_a_missing_modality_are_refused():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    guided.model.encoders[1].requires_grad_(False)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='Greedy'))
    with pytest.raises(ValueError, match='modality 1 is frozen'):
        guided.train_step(batch, wrapper)

    with pytest.raises(ValueError, match='a batch lacks one of them'):
        attached(Greedy(), guided).see(Shown(representations=[[torch.ones(2, 3)], None]))


@pytest.mark.parametrize('wrong', [dict(epsilon=-1), dict(window=0)])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Greedy(**wrong)
