"""MLA against its definition."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmcggm.balancers import MLA
from mmcggm.balancers.methods.mla import absorbed
from tests.many import many_batches, many_guided
from tests.tiny import attached, build_wrapper, tiny_guided, tiny_runner

SGD = dict(type='SGD', lr=0.1)


def alone(model, x, index):
    """Return the logits of modality ``index`` in its turn."""
    parts = [encoder(part) for encoder, part in zip(model.encoders, x.unbind(1), strict=True)]
    return model.fuse([len(parts) * h if i == index else 0 * h for i, h in enumerate(parts)])


@pytest.mark.parametrize('alpha', [0.01, 1.0])
def test_what_is_absorbed_adds_to_the_inverse(alpha):
    generator = torch.Generator().manual_seed(0)
    projection = torch.eye(5, dtype=torch.float64)
    for _ in range(4):
        h = torch.randn(5, generator=generator, dtype=torch.float64)
        expected = torch.linalg.inv(torch.linalg.inv(projection) + torch.outer(h, h) / alpha)
        projection = absorbed(projection, h, alpha)
        torch.testing.assert_close(projection, expected / expected.norm())


def test_a_small_alpha_projects_out_what_was_seen():
    h = torch.tensor([1.0, -2.0, 0.5])
    projection = absorbed(torch.eye(3), h, 1e-8)
    gradient = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gradient @ projection @ h, torch.zeros(4), rtol=0, atol=1e-6)
    orthogonal = torch.tensor([2.0, 1.0, 0.0])  # to h
    torch.testing.assert_close(projection @ orthogonal, orthogonal / 2**0.5)


@pytest.mark.parametrize('count', [2, 3, 6])
def test_the_prediction_of_an_additive_model_is_the_mean_of_the_turns(count):
    guided, (batch,) = many_guided(count, late=True), many_batches(count, 1)
    model = guided.model
    turns = torch.stack([alone(model, batch['x'], index) for index in range(count)])
    torch.testing.assert_close(guided(**batch), turns.mean(0))


def test_each_update_is_one_modalitys_and_keeps_what_the_head_has_seen():
    guided, data = many_guided(3), many_batches(3, 4)
    wrapper = build_wrapper(
        guided, optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='MLA', any_fusion=True, alpha=0.05)
    )
    projection = torch.eye(8)
    for turn, batch in enumerate(data):
        model, index = copy.deepcopy(guided.model), turn % 3
        model.zero_grad()
        guided.train_step(batch, wrapper)
        entered = []
        hook = lambda module, args, output, kept=entered: kept.append(args[0])  # noqa: E731
        handle = model.classifier.register_forward_hook(hook)
        F.cross_entropy(alone(model, batch['x'], index), batch['label']).backward()
        handle.remove()
        for name, parameter in model.named_parameters():
            gradient = parameter.grad @ projection if name == 'classifier.weight' else parameter.grad
            torch.testing.assert_close(guided.model.get_parameter(name), parameter - 0.1 * gradient)
            if name.startswith('encoders.') and not name.startswith(f'encoders.{index}'):
                assert torch.equal(guided.model.get_parameter(name), parameter)
        projection = absorbed(projection, entered[0].detach().mean(0), 0.05)
        assert wrapper.balancer.stats['turn'].argmax() == index
    torch.testing.assert_close(wrapper.balancer.state_dict()['projection'], projection)


def test_momentum_moves_no_resting_encoder():
    guided, data = many_guided(2), many_batches(2, 2)
    wrapper = build_wrapper(guided, balancer=dict(type='MLA', any_fusion=True))
    guided.train_step(data[0], wrapper)
    before = guided.model.encoders[0].weight.clone()
    guided.train_step(data[1], wrapper)
    assert torch.equal(guided.model.encoders[0].weight, before)


@pytest.mark.parametrize('count', [2, 3, 6])
def test_trains_by_config(count):
    guided, data = many_guided(count, late=True), many_batches(count, 40 * count, size=32)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='MLA', any_fusion=True))

    def loss():
        with torch.no_grad():
            return sum(guided(**batch, mode='loss')['loss'] for batch in data).item() / len(data)

    before = loss()
    for batch in data:
        guided.train_step(batch, wrapper)
    assert loss() < 0.9 * before
    assert wrapper.balancer.stats['turn'].tolist() == [0] * (count - 1) + [1]
    assert 0 < wrapper.balancer.stats['kept'] <= count  # 1 where nothing is projected out


def test_micro_batches_of_an_update_are_one_turn():
    whole, data = many_guided(2), many_batches(2, 2)
    split = copy.deepcopy(whole)
    joined = [{k: torch.cat([b[k] for b in data]) for k in data[0]}] * 2
    for guided, batches, count in ((whole, joined, 1), (split, data * 2, 2)):
        wrapper = build_wrapper(
            guided, optimizer=SGD, balancer=dict(type='MLA', any_fusion=True), accumulative_counts=count
        )
        for batch in batches:
            guided.train_step(batch, wrapper)
    for one, other in zip(whole.model.parameters(), split.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_inactive_it_trains_jointly():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    plain, wrapper = (
        copy.deepcopy(guided),
        build_wrapper(guided, optimizer=SGD, balancer=dict(type='MLA', any_fusion=True)),
    )
    wrapper.balancer.active = False
    guided.train_step(batch, wrapper)
    plain.train_step(batch, build_wrapper(plain, optimizer=SGD, balancer=None))
    for new, expected in zip(guided.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(new, expected)


def test_resumed_equals_uninterrupted():
    guided, data = many_guided(3), many_batches(3, 7)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='MLA', any_fusion=True))
    for batch in data[:4]:
        guided.train_step(batch, wrapper)
    resumed = copy.deepcopy(guided)
    again = build_wrapper(resumed, optimizer=SGD, balancer=dict(type='MLA', any_fusion=True))
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for batch in data[4:]:
        guided.train_step(batch, wrapper)
        resumed.train_step(batch, again)
    for new, old in zip(resumed.parameters(), guided.parameters(), strict=True):
        assert torch.equal(new, old)


def test_an_update_that_is_skipped_is_not_absorbed():
    guided, data = many_guided(2), many_batches(2, 2)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='MLA', any_fusion=True))
    guided.train_step(data[0], wrapper)
    balancer = wrapper.balancer
    before = balancer.state_dict()['projection'].clone()
    with wrapper.optim_context(guided):
        guided(**data[1], mode='loss')['loss'].backward()
    balancer.see(guided.take_pass())
    balancer.finish_update(torch.tensor(1.0))
    assert torch.equal(balancer.state_dict()['projection'], before)


def test_trains_in_a_runner_and_in_half_precision(tmp_path):
    model = tiny_guided()
    config = dict(
        type='BalancedAmpOptimWrapper',
        constructor='GuidedOptimWrapperConstructor',
        optimizer=SGD,
        balancer=dict(type='MLA', any_fusion=True),
    )
    runner = tiny_runner(tmp_path, model=model, optim_wrapper=config)
    runner.train()
    assert all(p.isfinite().all() for p in model.parameters())
    assert {'train/balance/turn/left', 'train/balance/kept'} <= set(runner.message_hub.log_scalars)


def test_a_wide_convolution_as_head_is_refused(monkeypatch):
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    guided(**batch, mode='loss')
    seen = guided.take_pass()
    monkeypatch.setattr(seen, 'head_weights', [nn.Conv2d(8, 3, 3).weight] * 2)
    with pytest.raises(ValueError, match='convolution of width 1'):
        attached(MLA(), guided).see(seen)


def test_bad_alpha_is_refused():
    with pytest.raises(ValueError, match='alpha > 0'):
        MLA(alpha=0)
