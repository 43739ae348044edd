"""Networks: encoders, fusions, heads, losses, and models made of them."""

from .data_preprocessor import MultimodalDataPreprocessor
from .encoders import (
    BertTextEncoder,
    DeepLabEncoder,
    PretrainedSequenceEncoder,
    SequenceEncoder,
    SequenceTransformer,
    SmallCNN,
    UNetEncoder,
    ViTImageEncoder,
)
from .fusions import (
    ConcatFusion,
    CrossAttentionFusion,
    FiLMFusion,
    Fusion,
    GatedFusion,
    LowRankTensorFusion,
    PyramidConcatFusion,
    SumFusion,
    TokenFusion,
    TransformerFusion,
    VectorFusion,
)
from .heads import CosineHead, DeepLabV3PlusHead, UNetHead
from .losses import ForegroundDiceLoss
from .multimodal_backbone import MultimodalBackbone
from .predictor import MultimodalPredictor
from .segmentor import MultimodalSegmentor

__all__ = [
    'BertTextEncoder',
    'ConcatFusion',
    'CosineHead',
    'CrossAttentionFusion',
    'DeepLabEncoder',
    'DeepLabV3PlusHead',
    'FiLMFusion',
    'ForegroundDiceLoss',
    'Fusion',
    'GatedFusion',
    'LowRankTensorFusion',
    'MultimodalBackbone',
    'MultimodalDataPreprocessor',
    'MultimodalPredictor',
    'MultimodalSegmentor',
    'PretrainedSequenceEncoder',
    'PyramidConcatFusion',
    'SequenceEncoder',
    'SequenceTransformer',
    'SmallCNN',
    'SumFusion',
    'TokenFusion',
    'TransformerFusion',
    'UNetEncoder',
    'UNetHead',
    'VectorFusion',
    'ViTImageEncoder',
]
