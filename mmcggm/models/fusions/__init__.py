"""Fusions of the modalities' representations."""

from .base import Fusion, TokenFusion, VectorFusion
from .concat import ConcatFusion
from .cross_attention import CrossAttentionFusion
from .film import FiLMFusion
from .gated import GatedFusion
from .low_rank_tensor import LowRankTensorFusion
from .pyramid import PyramidConcatFusion
from .sum import SumFusion
from .transformer import TransformerFusion

__all__ = [
    'ConcatFusion',
    'CrossAttentionFusion',
    'FiLMFusion',
    'Fusion',
    'GatedFusion',
    'LowRankTensorFusion',
    'PyramidConcatFusion',
    'SumFusion',
    'TokenFusion',
    'TransformerFusion',
    'VectorFusion',
]
