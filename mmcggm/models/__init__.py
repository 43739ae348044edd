"""Models: encoders, fusion, heads, guides, losses and the guided wrapper."""

from .data_preprocessor import MultimodalDataPreprocessor
from .encoders import DeepLabEncoder, SequenceEncoder, SequenceTransformer, UNetEncoder
from .fusion import PyramidConcatFusion
from .guided import GuidedModel, strip_guides
from .guides import AutoGuide, DecodeHeadGuide, Guide
from .heads import DeepLabV3PlusHead, UNetHead
from .losses import ForegroundDiceLoss
from .multimodal_backbone import MultimodalBackbone
from .scores import SliceDice
from .segmentor import MultimodalSegmentor
from .sequence_fusion import TransformerFusion
from .sequence_guide import SequenceGuide
from .sequence_model import SequenceModel
from .tasks import ClassificationTask, RegressionTask, SegmentationTask, Task

__all__ = [
    'AutoGuide',
    'ClassificationTask',
    'DecodeHeadGuide',
    'DeepLabEncoder',
    'DeepLabV3PlusHead',
    'ForegroundDiceLoss',
    'Guide',
    'GuidedModel',
    'MultimodalBackbone',
    'MultimodalDataPreprocessor',
    'MultimodalSegmentor',
    'PyramidConcatFusion',
    'RegressionTask',
    'SegmentationTask',
    'SequenceEncoder',
    'SequenceGuide',
    'SequenceModel',
    'SequenceTransformer',
    'SliceDice',
    'Task',
    'TransformerFusion',
    'UNetEncoder',
    'UNetHead',
    'strip_guides',
]
