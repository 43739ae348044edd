"""Balancing methods in pure PyTorch, one file a method."""

from .agm import AGM
from .amco import AMCo
from .base import Balancer, GuidedStep, over_processes, present
from .cggm import CGGM
from .cml import CML
from .coalitions import Coalition, coalitions, masking, shapley_values
from .gradient_blending import GradientBlending, blend_weights
from .greedy import Greedy
from .guided_pass import Change, GuidedPass, Outcome
from .lfm import LFM
from .mbsd import MBSD
from .mla import MLA
from .mmpareto import MMPareto
from .mses import MSES
from .mslr import MSLR
from .ogm import OGM
from .opm import OPM
from .pmr import PMR
from .progress import Progress, SmoothedProgress, StepProgress
from .reconboost import ReconBoost
from .relearning import ReLearning
from .scaled_rates import scaled_rates
from .schedule import Schedule
from .shared_backward import differentiated_once
from .single_modality import SingleModality
from .smv import SMV
from .teaching_cggm import TeachingCGGM
from .umt import UMT

__all__ = [
    'AGM',
    'CGGM',
    'CML',
    'LFM',
    'MBSD',
    'MLA',
    'MSES',
    'MSLR',
    'OGM',
    'OPM',
    'PMR',
    'SMV',
    'UMT',
    'AMCo',
    'Balancer',
    'Change',
    'Coalition',
    'GradientBlending',
    'Greedy',
    'GuidedPass',
    'GuidedStep',
    'MMPareto',
    'Outcome',
    'Progress',
    'ReLearning',
    'ReconBoost',
    'Schedule',
    'SingleModality',
    'SmoothedProgress',
    'StepProgress',
    'TeachingCGGM',
    'blend_weights',
    'coalitions',
    'differentiated_once',
    'masking',
    'over_processes',
    'present',
    'scaled_rates',
    'shapley_values',
]
