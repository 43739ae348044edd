"""Optimizer settings of another library's config: balancing adds to them, and nothing of them is lost."""

import pytest
import torch
from mmengine.optim import DefaultOptimWrapperConstructor, build_optim_wrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, DefaultScope
from torch import nn

from mmcggm.engine import BalancedAmpOptimWrapper, BalancedOptimWrapper, BalancingHook
from mmcggm.engine.inherited_settings import guided_settings
from tests.tiny import TinyClassifier, tiny_guided, tiny_runner


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SlowLeftConstructor(DefaultOptimWrapperConstructor):
    """A rate for each part of a model, told by names, as those of mmseg and mmpretrain have for layers."""

    def add_params(self, params: list[dict], module: nn.Module, **_: object) -> None:
        for name, parameter in module.named_parameters():
            share = self.paramwise_cfg['share'] if name.startswith('left_encoder') else 1
            params.append(dict(params=[parameter], lr=self.base_lr * share, lr_scale=share))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ConstructorOfAnother(DefaultOptimWrapperConstructor):
    def __call__(self, model: nn.Module) -> None:
        raise AssertionError


SLOW_LEFT = dict(constructor='SlowLeftConstructor', paramwise_cfg=dict(share=0.5))


def built(model: nn.Module, **settings):
    settings = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)) | settings
    with DefaultScope.overwrite_default_scope('mmengine'):
        return build_optim_wrapper(model, guided_settings(settings, model))


def rates(model: nn.Module, wrapper) -> dict[str, float]:
    """Return the rate of each parameter in the groups of the model's optimizer, by name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = wrapper.optimizer.param_groups
    return {names[parameter]: group['lr'] for group in groups for parameter in group['params']}


@pytest.mark.parametrize('guide_optimizer', [{}, dict(guide_optimizer=dict(type='SGD', lr=0.2))])
@pytest.mark.parametrize(
    'settings', [{}, SLOW_LEFT, dict(paramwise_cfg=dict(custom_keys=dict(left=dict(lr_mult=0.5))))]
)
def test_parameters_learn_at_the_rates_that_they_have_without_guides(settings, guide_optimizer):
    plain, guided = TinyClassifier(), tiny_guided()
    expected = rates(plain, built(plain, **settings))
    wrapper = built(guided, balancer='CGGM', **guide_optimizer, **settings)
    found = rates(guided.model, wrapper) if guide_optimizer else rates(guided, wrapper)
    assert {
        name.removeprefix('model.'): rate for name, rate in found.items() if 'guides' not in name
    } == expected
    of_guides = {rate for name, rate in found.items() if name.startswith('guides.')}
    assert of_guides == (set() if guide_optimizer else {0.1})
    assert isinstance(wrapper, BalancedOptimWrapper) and wrapper.balancer.name == 'CGGM'


def test_mixed_precision_stays_and_settings_of_a_step_too():
    settings = dict(
        type='AmpOptimWrapper', dtype='bfloat16', clip_grad=dict(max_norm=1.0), accumulative_counts=2
    )
    wrapper = built(tiny_guided(), balancer='CGGM', **settings)
    assert isinstance(wrapper, BalancedAmpOptimWrapper) and wrapper.cast_dtype in ('bfloat16', torch.bfloat16)
    assert wrapper.clip_grad_kwargs == dict(max_norm=1.0) and wrapper._accumulative_counts == 2


def test_keys_that_match_nothing_are_told_of_and_old_names_refused(monkeypatch):
    told: list[str] = []
    where = 'mmcggm.engine.optim_wrapper_constructor.print_log'
    monkeypatch.setattr(where, lambda message, *_: told.append(message))
    keys = dict(relative_position_bias_table=dict(decay_mult=0.0))
    optimizer = dict(type='SGD', lr=0.1, weight_decay=0.1)
    built(tiny_guided(), optimizer=optimizer, balancer='CGGM', paramwise_cfg=dict(custom_keys=keys))
    assert len(told) == 1 and "'relative_position_bias_table' matches no parameter" in told[0]
    keys = {'model.left_encoder': dict(lr_mult=0.5)}
    with pytest.raises(ValueError, match=r"'model\.left_encoder' matches no.*Did you mean 'left_encoder"):
        built(tiny_guided(), balancer='CGGM', paramwise_cfg=dict(custom_keys=keys))


def test_a_constructor_that_does_more_is_refused():
    with pytest.raises(TypeError, match='is ConstructorOfAnother, which does more than to group parameters'):
        built(tiny_guided(), balancer='CGGM', constructor='ConstructorOfAnother')


@pytest.mark.parametrize(
    ('settings', 'model'),
    [
        (dict(optimizer=dict(type='SGD', lr=0.1)), tiny_guided()),
        (dict(optimizer=dict(type='SGD', lr=0.1), balancer='CGGM'), TinyClassifier()),
        (dict(optimizer=dict(type='SGD', lr=0.1), balancer='CGGM'), dict(type='mmcggm.TinyClassifier')),
        (
            dict(optimizer=torch.optim.SGD(TinyClassifier().parameters(), lr=0.1), balancer='CGGM'),
            tiny_guided(),
        ),
        (None, tiny_guided()),
    ],
    ids=['no-balancer', 'no-guides', 'config-without-guides', 'built-optimizer', 'none'],
)
def test_other_settings_stay_as_they_are(settings, model):
    assert guided_settings(settings, model) is settings


@pytest.mark.parametrize(
    ('hooks', 'balancer', 'count'),
    [([], 'CGGM', 1), ([BalancingHook(begin=1)], 'CGGM', 1), ([], None, 0)],
    ids=['named-alone', 'with-a-hook', 'nothing-named'],
)
def test_what_names_a_balancer_has_one_hook(hooks, balancer, count, tmp_path):
    """Its own, if there is one, in place of that which it gets; other hooks stay."""
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    wrapper |= {} if balancer is None else dict(balancer=balancer)
    average = dict(type='EMAHook', momentum=0.1)
    runner = tiny_runner(tmp_path, max_epochs=1, hooks=[average, *hooks], optim_wrapper=wrapper)
    runner.train()
    found = [hook for hook in runner.hooks if isinstance(hook, BalancingHook)]
    assert len(found) == count and (not hooks or found == hooks)
    assert any(type(hook).__name__ == 'EMAHook' for hook in runner.hooks)


def test_the_hook_has_a_place_among_the_default_hooks(tmp_path):
    """Where settings of its own are added to those of a base, and replace nothing."""
    hooks = dict(balancing=dict(type='mmcggm.BalancingHook', begin=1))
    runner = tiny_runner(tmp_path, max_epochs=1, hooks=[], default_hooks=hooks)
    runner.train()
    assert [hook.begin for hook in runner.hooks if isinstance(hook, BalancingHook)] == [1]
