"""The balancers' adapter to MMEngine: optimizer wrappers, hooks and a strategy."""

from .fsdp_strategy import FSDP2Strategy
from .hooks import (
    BalancingHook,
    CGGMHook,
    ClassCheckHook,
    GradientStatsHook,
    GuideScoreHook,
    ModalityContributionHook,
)
from .optim_wrapper import (
    BalancedAmpOptimWrapper,
    BalancedOptimWrapper,
    CGGMAmpOptimWrapper,
    CGGMOptimWrapper,
)
from .optim_wrapper_constructor import GuidedOptimWrapperConstructor

__all__ = [
    'BalancedAmpOptimWrapper',
    'BalancedOptimWrapper',
    'BalancingHook',
    'CGGMAmpOptimWrapper',
    'CGGMHook',
    'CGGMOptimWrapper',
    'ClassCheckHook',
    'FSDP2Strategy',
    'GradientStatsHook',
    'GuideScoreHook',
    'GuidedOptimWrapperConstructor',
    'ModalityContributionHook',
]
