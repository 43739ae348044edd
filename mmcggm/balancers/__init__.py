"""Balancing methods in pure PyTorch, one file a method."""

from mmcggm.balancers.methods.agm import AGM
from mmcggm.balancers.methods.amco import AMCo
from mmcggm.balancers.methods.cggm import CGGM
from mmcggm.balancers.methods.cml import CML
from mmcggm.balancers.methods.gradient_blending import GradientBlending, blend_weights
from mmcggm.balancers.methods.greedy import Greedy
from mmcggm.balancers.methods.lfm import LFM
from mmcggm.balancers.methods.mbsd import MBSD
from mmcggm.balancers.methods.mla import MLA
from mmcggm.balancers.methods.mmpareto import MMPareto
from mmcggm.balancers.methods.mses import MSES
from mmcggm.balancers.methods.mslr import MSLR
from mmcggm.balancers.methods.ogm import OGM
from mmcggm.balancers.methods.opm import OPM
from mmcggm.balancers.methods.pmr import PMR
from mmcggm.balancers.methods.reconboost import ReconBoost
from mmcggm.balancers.methods.relearning import ReLearning
from mmcggm.balancers.methods.single_modality import SingleModality
from mmcggm.balancers.methods.smv import SMV
from mmcggm.balancers.methods.teaching_cggm import TeachingCGGM
from mmcggm.balancers.methods.umt import UMT

from .balancer import Balancer, GuidedStep, over_processes, present
from .coalitions import Coalition, coalitions, masking, shapley_values
from .pass_record import Change, GuidedPass, Outcome
from .progress import Progress, SmoothedProgress, StepProgress
from .scaled_rates import scaled_rates
from .schedule import Schedule
from .shared_backward import differentiated_once

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
