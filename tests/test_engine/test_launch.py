"""What the launchers share."""

import pytest
from mmengine.config import Config

from mmcggm.engine.launch import enable_amp


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ('OptimWrapper', 'AmpOptimWrapper'),
        ('CGGMOptimWrapper', 'CGGMAmpOptimWrapper'),
        ('CGGMAmpOptimWrapper', 'CGGMAmpOptimWrapper'),
        ('mmcggm.CGGMOptimWrapper', 'mmcggm.CGGMAmpOptimWrapper'),
    ],
)
def test_amp_keeps_the_balancing(given, expected):
    cfg = Config(dict(optim_wrapper=dict(type=given, balancer=dict(type='CGGM'))))
    enable_amp(cfg)
    assert cfg.optim_wrapper.type == expected and cfg.optim_wrapper.balancer.type == 'CGGM'


def test_amp_refuses_a_wrapper_that_it_does_not_know():
    with pytest.raises(ValueError, match=r"--amp knows .*'MyOptimWrapper'"):
        enable_amp(Config(dict(optim_wrapper=dict(type='MyOptimWrapper'))))
