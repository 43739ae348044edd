"""Models: encoders, fusion, heads, guides, losses and the guided wrapper."""

from .checkpoints import strip_guides
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
from .guided import GuidedModel
from .guides import AutoGuide, DecodeHeadGuide, Guide
from .heads import CosineHead, DeepLabV3PlusHead, UNetHead
from .losses import ForegroundDiceLoss
from .multimodal_backbone import MultimodalBackbone
from .predictor import MultimodalPredictor
from .scores import SliceDice
from .segmentor import MultimodalSegmentor
from .sequence_guide import SequenceGuide
from .tasks import ClassificationTask, RegressionTask, SegmentationTask, Task

__all__ = [
    'AutoGuide',
    'BertTextEncoder',
    'ClassificationTask',
    'ConcatFusion',
    'CosineHead',
    'CrossAttentionFusion',
    'DecodeHeadGuide',
    'DeepLabEncoder',
    'DeepLabV3PlusHead',
    'FiLMFusion',
    'ForegroundDiceLoss',
    'Fusion',
    'GatedFusion',
    'Guide',
    'GuidedModel',
    'LowRankTensorFusion',
    'MultimodalBackbone',
    'MultimodalDataPreprocessor',
    'MultimodalPredictor',
    'MultimodalSegmentor',
    'PretrainedSequenceEncoder',
    'PyramidConcatFusion',
    'RegressionTask',
    'SegmentationTask',
    'SequenceEncoder',
    'SequenceGuide',
    'SequenceTransformer',
    'SliceDice',
    'SmallCNN',
    'SumFusion',
    'Task',
    'TokenFusion',
    'TransformerFusion',
    'UNetEncoder',
    'UNetHead',
    'VectorFusion',
    'ViTImageEncoder',
    'strip_guides',
]
