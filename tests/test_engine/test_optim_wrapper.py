"""The optimizer wrapper: balancing inside MMEngine's training step."""

import copy
import json

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from tests.tiny import (
    TinyClassifier,
    batches,
    build_wrapper,
    tiny_guided,
    tiny_runner,
    weights,
    wrapper_config,
)


def test_without_a_balancer_the_model_trains_as_if_alone():
    guided, data = tiny_guided(), batches(10)
    plain = copy.deepcopy(guided.model)
    wrapper = build_wrapper(guided, balancer=None, clip_grad=dict(max_norm=0.1))
    alone = build_wrapper(
        plain,
        constructor='DefaultOptimWrapperConstructor',
        balancer=None,
        guide_optimizer=None,
        clip_grad=dict(max_norm=0.1),
    )
    for batch in data:
        guided.train_step(batch, wrapper)
        plain.train_step(batch, alone)
    assert torch.equal(weights(guided.model), weights(plain))


def test_one_step_is_the_methods():
    """SGD without momentum: each weight moves by -lr times the gradient that the paper defines."""
    guided, (batch,) = tiny_guided(), batches(1)
    reference = copy.deepcopy(guided)
    wrapper = build_wrapper(guided, optimizer=dict(type='SGD', lr=0.1))
    guided.train_step(batch, wrapper)

    losses = reference(**batch, mode='loss')
    head, guides = reference.model.classifier, reference.guides
    (grad,) = torch.autograd.grad(losses['loss'], head.weight, create_graph=True)
    score = torch.stack(
        [(g(getattr(reference.model, f'{m}_encoder')(batch[m])).argmax(1) == batch['label']).float().mean()
         for m, g in guides.items()]
    )  # fmt: skip
    terms = score.flip(0) / score.sum()
    direction = 0
    for term, (modality, guide) in zip(terms, guides.items(), strict=True):
        (own,) = torch.autograd.grad(losses[f'guide_{modality}.loss'], guide.layer.weight, retain_graph=True)
        direction += (term - term * nn.functional.cosine_similarity(grad.flatten(), own.flatten(), dim=0)) / 2
    (losses['loss'] + 0.2 * direction).backward()
    with torch.no_grad():
        for name, parameter in reference.model.named_parameters():
            scale = {'left': 1.3 * terms[0], 'right': 1.3 * terms[1]}.get(name.split('_')[0], 1.0)
            parameter -= 0.1 * scale * parameter.grad
    torch.testing.assert_close(weights(guided.model), weights(reference.model))


def test_guides_learn_at_their_own_rate():
    guided, (batch,) = tiny_guided(), batches(1)
    wrapper = build_wrapper(guided, optimizer=dict(type='SGD', lr=0.0))
    model, guides = weights(guided.model), weights(guided.guides)
    guided.train_step(batch, wrapper)
    assert torch.equal(weights(guided.model), model) and not torch.equal(weights(guided.guides), guides)
    assert {len(g['params']) for g in wrapper.optimizer.param_groups} == {6}


def test_accumulation_updates_once_and_scales_once():
    guided, data = tiny_guided(), batches(4)
    wrapper = build_wrapper(guided, accumulative_counts=2, balancer=dict(type='CGGM', lam=0.0))
    calls = []
    change = wrapper.balancer.change_gradients
    wrapper.balancer.change_gradients = lambda: (calls.append(1), change())
    for batch in data:
        guided.train_step(batch, wrapper)
    assert len(calls) == 2


def test_mixed_precision_on_a_cpu_balances():
    guided, data = tiny_guided(), batches(3)
    wrapper = build_wrapper(guided, type='CGGMAmpOptimWrapper')
    seen = []
    guided.model.classifier.register_forward_hook(lambda m, i, o: seen.append(o.dtype))
    for batch in data:
        guided.train_step(batch, wrapper)
    assert set(seen) == {torch.bfloat16} or torch.cuda.is_available()
    assert wrapper.balancer.stats['B'].shape == (2,) and 'cos' in wrapper.balancer.stats
    assert weights(guided).isfinite().all()


@pytest.mark.skipif(torch.cuda.is_available(), reason='the check is for machines without a GPU')
def test_half_precision_on_a_cpu_is_refused():
    with pytest.raises(ValueError, match='must be bfloat16'):
        build_wrapper(tiny_guided(), type='CGGMAmpOptimWrapper', dtype='float16')


def test_a_plain_model_is_refused_with_what_to_do():
    model, (batch,) = TinyClassifier(), batches(1)
    wrapper = build_wrapper(model, constructor='DefaultOptimWrapperConstructor', guide_optimizer=None)
    with pytest.raises(TypeError, match=r"needs a GuidedModel.*model=dict\(type='GuidedModel'"):
        model.train_step(batch, wrapper)


def test_guide_optimizer_needs_the_constructor():
    with pytest.raises(TypeError, match="constructor='GuidedOptimWrapperConstructor'"):
        build_wrapper(tiny_guided(), constructor='DefaultOptimWrapperConstructor')


def test_guide_optimizer_needs_guides():
    with pytest.raises(TypeError, match='GuidedOptimWrapperConstructor needs a GuidedModel'):
        build_wrapper(TinyClassifier())


def test_state_holds_optimizers_and_balancer():
    guided, data = tiny_guided(), batches(4)
    wrapper = build_wrapper(guided)
    for batch in data[:2]:
        guided.train_step(batch, wrapper)
    clone = copy.deepcopy(guided)
    resumed = build_wrapper(clone)
    resumed.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for batch in data[2:]:
        guided.train_step(batch, wrapper)
        clone.train_step(batch, resumed)
    assert torch.equal(weights(guided), weights(clone))


def test_a_balancer_without_a_hook_is_reported_once(monkeypatch):
    messages = []
    monkeypatch.setattr('mmcggm.engine.optim_wrapper.print_log', lambda message, *_: messages.append(message))
    guided = tiny_guided()
    wrapper = build_wrapper(guided)
    for batch in batches(2):
        guided.train_step(batch, wrapper)
    assert len(messages) == 1 and 'CGGM acts without a BalancingHook' in messages[0]


@pytest.mark.parametrize(
    ('kind', 'warnings'), [('OptimWrapper', 1), ('AmpOptimWrapper', 1), ('CGGMOptimWrapper', 0)]
)
def test_a_wrapper_that_knows_no_balancer_is_reported_once(kind, warnings, monkeypatch):
    if kind == 'AmpOptimWrapper' and not torch.cuda.is_available():
        pytest.skip("MMEngine's AmpOptimWrapper needs an accelerator")
    messages = []
    monkeypatch.setattr('mmcggm.guided.guided_model.warn', messages.append)
    guided = tiny_guided()
    with DefaultScope.overwrite_default_scope('mmcggm'):
        wrapper = build_optim_wrapper(guided, dict(type=kind, optimizer=dict(type='SGD', lr=0.1)))
    for batch in batches(3):
        guided.train_step(batch, wrapper)
    assert len(messages) == warnings
    assert all("optim_wrapper=dict(type='BalancedOptimWrapper', balancer=" in message for message in messages)


def test_judging_losses_or_a_loop_of_ones_own_is_no_unbalanced_training(monkeypatch):
    messages = []
    monkeypatch.setattr('mmcggm.guided.guided_model.warn', messages.append)
    judged, trained = tiny_guided(), tiny_guided()
    for batch in batches(3):
        with torch.no_grad():
            judged(**batch, mode='loss')
        trained(**batch, mode='loss')
        trained.take_pass()
    assert not messages


@pytest.mark.parametrize(('limit', 'share'), [(1e-3, 1.0), (1e3, 0.0)])
def test_the_log_tells_how_often_the_limit_on_the_gradient_was_active(tmp_path, limit, share):
    runner = tiny_runner(tmp_path, max_epochs=1, optim_wrapper=wrapper_config(clip_grad=dict(max_norm=limit)))
    runner.train()
    limited = runner.message_hub.get_scalar('train/grad_norm_limited')
    assert len(limited.data[0]) == 4 and limited.mean() == share
    shown = [
        json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()
    ]
    assert all(record['grad_norm_limited'] == share for record in shown)


def test_without_a_limit_on_the_norm_there_is_nothing_to_tell(tmp_path):
    settings = wrapper_config(clip_grad=dict(type='value', clip_value=0.1))
    runner = tiny_runner(tmp_path, max_epochs=1, optim_wrapper=settings)
    runner.train()
    assert 'train/grad_norm_limited' not in runner.message_hub.log_scalars
