"""Networks: encoders, fusions, heads, losses, and models made of them."""

import mmcggm.models.quiet_mmseg  # noqa: F401, before what imports mmseg

from .data_preprocessor import MultimodalDataPreprocessor
from .encoders import (
    BertTextEncoder,
    DeepLabEncoder,
    PretrainedSequenceEncoder,
    SequenceEncoder,
    SequenceTransformer,
    SmallCNN,
    UNet3DEncoder,
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
from .heads import (
    CosineHead,
    DeepLabV3PlusHead,
    MonaiNetworkHead,
    Segformer3DHead,
    UNet3DHead,
    UNetHead,
    VolumeHead,
)
from .losses import ForegroundDiceLoss
from .monai_loss import MonaiLoss
from .multimodal_backbone import MultimodalBackbone
from .predictor import MultimodalPredictor
from .segmentor import MultimodalSegmentor
from .stacked_modalities import StackedModalities
from .volume_segmentor import VolumeSegmentor

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
    'MonaiLoss',
    'MonaiNetworkHead',
    'MultimodalBackbone',
    'MultimodalDataPreprocessor',
    'MultimodalPredictor',
    'MultimodalSegmentor',
    'PretrainedSequenceEncoder',
    'PyramidConcatFusion',
    'Segformer3DHead',
    'SequenceEncoder',
    'SequenceTransformer',
    'SmallCNN',
    'StackedModalities',
    'SumFusion',
    'TokenFusion',
    'TransformerFusion',
    'UNet3DEncoder',
    'UNet3DHead',
    'UNetEncoder',
    'UNetHead',
    'VectorFusion',
    'ViTImageEncoder',
    'VolumeHead',
    'VolumeSegmentor',
]
