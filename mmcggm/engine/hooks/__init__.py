"""Hooks: the balancer's schedule and log, and measurements of what encoders learn."""

from .balancing_hook import BalancingHook, CGGMHook
from .checkpoint_hook import CheckpointHook
from .class_check_hook import ClassCheckHook
from .gradient_stats_hook import GradientStatsHook
from .guide_score_hook import GuideScoreHook
from .modality_contribution_hook import ModalityContributionHook
from .nonfinite_gradient_hook import NonFiniteGradientHook

__all__ = [
    'BalancingHook',
    'CGGMHook',
    'CheckpointHook',
    'ClassCheckHook',
    'GradientStatsHook',
    'GuideScoreHook',
    'ModalityContributionHook',
    'NonFiniteGradientHook',
]
