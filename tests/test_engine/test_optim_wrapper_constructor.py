"""The constructor of optimizer wrappers: which parameter learns at which rate."""

import pytest

from tests.tiny import build_wrapper, tiny_guided


def rates(key: str, **settings) -> dict[str, float]:
    """Return the rate of each parameter, by name, where ``key`` stops what it matches."""
    guided = tiny_guided()
    wrapper = build_wrapper(guided, paramwise_cfg=dict(custom_keys={key: dict(lr_mult=0.0)}), **settings)
    names = {parameter: name for name, parameter in guided.named_parameters()}
    return {
        names[parameter]: group['lr']
        for optimizer in wrapper.optimizers
        for group in optimizer.param_groups
        for parameter in group['params']
    }


@pytest.mark.parametrize('settings', [{}, dict(guide_optimizer=None)])
def test_keys_of_the_model_leave_its_guides_alone(settings):
    found = rates('left', **settings)
    assert {name for name, rate in found.items() if rate == 0} == {
        'model.left_encoder.weight',
        'model.left_encoder.bias',
    }
    assert sum(name.startswith('guides.') for name in found) == 4


def test_guides_are_matched_when_they_are_named():
    found = rates('guides.left', guide_optimizer=None)
    stopped = {name for name, rate in found.items() if rate == 0}
    assert stopped == {'guides.left.layer.weight', 'guides.left.layer.bias'}


@pytest.mark.parametrize(
    ('key', 'settings', 'message'),
    [
        ('middle_encoder', {}, "'middle_encoder' matches no parameter.*Did you mean 'left_encoder'"),
        ('model.left_encoder', {}, "'model.left_encoder' matches no.*Did you mean 'left_encoder"),
        ('model.left_encoder', dict(guide_optimizer=None), 'matches no parameter'),
        ('guides.left', {}, '`guide_optimizer` trains the guides'),
        ('guides.middle', dict(guide_optimizer=None), "'guides.middle' matches no parameter"),
    ],
)
def test_a_key_that_matches_nothing_is_named(key, settings, message):
    with pytest.raises(ValueError, match=rf'`optim_wrapper\.paramwise_cfg\.custom_keys`: .*{message}'):
        rates(key, **settings)
