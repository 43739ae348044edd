"""Hooks: the balancer's schedule and log, checks before training, and measurements of what encoders learn."""

from .balancing_hook import BalancingHook, CGGMHook
from .checkpoint_hook import CheckpointHook
from .data_check_hook import DataCheckHook
from .ensemble_hook import EnsembleHook
from .evaluation_progress_hook import EvaluationProgressHook
from .gradient_stats_hook import GradientStatsHook
from .guide_score_hook import GuideScoreHook
from .modality_contribution_hook import ModalityContributionHook
from .nonfinite_gradient_hook import NonFiniteGradientHook
from .saved_config_hook import SavedConfigHook
from .standardisation_hook import StandardisationHook
from .tumour_count_hook import TumourCountHook

__all__ = [
    'BalancingHook',
    'CGGMHook',
    'CheckpointHook',
    'DataCheckHook',
    'EnsembleHook',
    'EvaluationProgressHook',
    'GradientStatsHook',
    'GuideScoreHook',
    'ModalityContributionHook',
    'NonFiniteGradientHook',
    'SavedConfigHook',
    'StandardisationHook',
    'TumourCountHook',
]
