"""The balancers' adapter to MMEngine: optimizer wrappers, hooks and a strategy."""

from .fsdp_strategy import FSDP2Strategy
from .hooks import (
    BalancingHook,
    CGGMHook,
    CheckpointHook,
    DataCheckHook,
    EnsembleHook,
    GradientStatsHook,
    GuideScoreHook,
    ModalityContributionHook,
    StandardisationHook,
)
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .optim_wrapper import (
    BalancedAmpOptimWrapper,
    BalancedOptimWrapper,
    CGGMAmpOptimWrapper,
    CGGMOptimWrapper,
)
from .optim_wrapper_constructor import GuidedOptimWrapperConstructor
from .runner import BalancedRunner
from .subsets import SubsetTestLoop

__all__ = [
    'BalancedAmpOptimWrapper',
    'BalancedOptimWrapper',
    'BalancedRunner',
    'BalancingHook',
    'CGGMAmpOptimWrapper',
    'CGGMHook',
    'CGGMOptimWrapper',
    'CheckpointHook',
    'DataCheckHook',
    'EnsembleHook',
    'EpochBasedTrainLoop',
    'FSDP2Strategy',
    'GradientStatsHook',
    'GuideScoreHook',
    'GuidedOptimWrapperConstructor',
    'IterBasedTrainLoop',
    'ModalityContributionHook',
    'StandardisationHook',
    'SubsetTestLoop',
]
