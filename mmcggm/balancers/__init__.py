"""Balancing in pure PyTorch: the interface of methods, what they share, and the methods."""

from mmcggm.balancers.methods.agm import AGM
from mmcggm.balancers.methods.ags import AGS
from mmcggm.balancers.methods.amco import AMCo
from mmcggm.balancers.methods.cggm import CGGM
from mmcggm.balancers.methods.cml import CML
from mmcggm.balancers.methods.data_remixing import DataRemixing
from mmcggm.balancers.methods.dgl import DGL
from mmcggm.balancers.methods.dwa import DWA
from mmcggm.balancers.methods.gradient_blending import GradientBlending, blend_weights
from mmcggm.balancers.methods.greedy import Greedy
from mmcggm.balancers.methods.inforeg import InfoReg
from mmcggm.balancers.methods.lfm import LFM
from mmcggm.balancers.methods.mbsd import MBSD
from mmcggm.balancers.methods.mcr import MCR
from mmcggm.balancers.methods.midas import MIDAS
from mmcggm.balancers.methods.mimo import MIMO
from mmcggm.balancers.methods.mla import MLA
from mmcggm.balancers.methods.mlb import MLB
from mmcggm.balancers.methods.mmpareto import MMPareto
from mmcggm.balancers.methods.modality_dropout import ModalityDropout
from mmcggm.balancers.methods.mses import MSES
from mmcggm.balancers.methods.mslr import MSLR
from mmcggm.balancers.methods.ogm import OGM
from mmcggm.balancers.methods.opm import OPM
from mmcggm.balancers.methods.pdmp import PDMP
from mmcggm.balancers.methods.pmr import PMR
from mmcggm.balancers.methods.reconboost import ReconBoost
from mmcggm.balancers.methods.relearning import ReLearning
from mmcggm.balancers.methods.smv import SMV
from mmcggm.balancers.methods.teaching_cggm import TeachingCGGM
from mmcggm.balancers.methods.umt import UMT

from .balancer import Balancer, EncoderScaling, scale_gradients
from .coalitions import Coalition, coalitions, masking, shapley_values
from .combined import Combined, build_balancer
from .methods.multi_loss import MultiLoss
from .needs import Needs, acting_on
from .pass_record import Change, Pass, PlainPass, SampleChange
from .progress import LevelProgress, Progress, SmoothedProgress, StepProgress
from .schedule import Schedule
from .scores import scores_from_counts
from .shared_backward import differentiated_once
from .state import Memory, UpdateMean, UpdateSum
from .training import Clock, Training

__all__ = [
    'AGM',
    'AGS',
    'CGGM',
    'CML',
    'DGL',
    'DWA',
    'LFM',
    'MBSD',
    'MCR',
    'MIDAS',
    'MIMO',
    'MLA',
    'MLB',
    'MSES',
    'MSLR',
    'OGM',
    'OPM',
    'PDMP',
    'PMR',
    'SMV',
    'UMT',
    'AMCo',
    'Balancer',
    'Change',
    'Clock',
    'Coalition',
    'Combined',
    'DataRemixing',
    'EncoderScaling',
    'GradientBlending',
    'Greedy',
    'InfoReg',
    'LevelProgress',
    'MMPareto',
    'Memory',
    'ModalityDropout',
    'MultiLoss',
    'Needs',
    'Pass',
    'PlainPass',
    'Progress',
    'ReLearning',
    'ReconBoost',
    'SampleChange',
    'Schedule',
    'SmoothedProgress',
    'StepProgress',
    'TeachingCGGM',
    'Training',
    'UpdateMean',
    'UpdateSum',
    'acting_on',
    'blend_weights',
    'build_balancer',
    'coalitions',
    'differentiated_once',
    'masking',
    'scale_gradients',
    'scores_from_counts',
    'shapley_values',
]
