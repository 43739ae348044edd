"""Balancing methods in pure PyTorch, one file a method."""

from .base import Balancer, GuidedStep
from .cggm import CGGM
from .guided_pass import Change, GuidedPass, Outcome
from .ogm import OGM
from .progress import Progress, SmoothedProgress, StepProgress
from .schedule import Schedule
from .shared_backward import differentiated_once

__all__ = [
    'CGGM',
    'OGM',
    'Balancer',
    'Change',
    'GuidedPass',
    'GuidedStep',
    'Outcome',
    'Progress',
    'Schedule',
    'SmoothedProgress',
    'StepProgress',
    'differentiated_once',
]
