"""The optimizer wrapper that balances, chosen by what a config names without it."""

import pytest
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, DefaultScope

from mmcggm.engine import (
    BalancedAmpOptimWrapper,
    BalancedOptimWrapper,
    CGGMAmpOptimWrapper,
    CGGMOptimWrapper,
)
from mmcggm.engine.balanced_type import balanced_type, balances


@OPTIM_WRAPPERS.register_module()
class OptimWrapperOfAnother(OptimWrapper):
    pass


@pytest.mark.parametrize('scope', ['mmengine', 'mmseg', 'mmcggm'])
@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        ({}, BalancedOptimWrapper),
        (dict(type='OptimWrapper'), BalancedOptimWrapper),
        (dict(type='AmpOptimWrapper', loss_scale='dynamic'), BalancedAmpOptimWrapper),
        (dict(type='AmpOptimWrapper', _scope_='mmpretrain'), BalancedAmpOptimWrapper),
        (dict(type=AmpOptimWrapper, dtype='bfloat16'), BalancedAmpOptimWrapper),
        (dict(type='mmcggm.CGGMOptimWrapper'), CGGMOptimWrapper),
        (dict(type='mmcggm.CGGMAmpOptimWrapper', dtype='bfloat16'), CGGMAmpOptimWrapper),
    ],
)
def test_mixed_precision_stays_as_it_was_asked_for(settings, expected, scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert balanced_type(settings) is expected


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(type='OptimWrapperOfAnother'), "'OptimWrapperOfAnother', which has no counterpart"),
        (
            dict(type='mmcggm.BalancedOptimWrapper', loss_scale=512.0),
            r'`optim_wrapper\.loss_scale`.*leave `type`',
        ),
        (dict(type=CGGMOptimWrapper, dtype='bfloat16'), r'`optim_wrapper\.dtype`.*BalancedAmpOptimWrapper'),
    ],
)
def test_what_would_be_lost_is_named(settings, message):
    with pytest.raises(TypeError, match=message):
        balanced_type(settings)


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        (dict(type='OptimWrapper'), False),
        (dict(type='OptimWrapper', balancer='CGGM'), True),
        (dict(type='mmcggm.BalancedOptimWrapper'), False),
        (dict(type='mmcggm.CGGMOptimWrapper'), True),
        (dict(type='mmcggm.CGGMOptimWrapper', balancer=None), False),
        (None, False),
    ],
)
def test_what_balances(settings, expected):
    assert balances(settings) is expected
