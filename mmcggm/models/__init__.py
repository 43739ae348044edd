"""Models: encoders, fusion, heads, guides, losses and the guided wrapper."""

from .data_preprocessor import MultimodalDataPreprocessor
from .encoders import DeepLabEncoder, UNetEncoder
from .fusion import PyramidConcatFusion
from .guided import GuidedModel
from .guides import DecodeHeadGuide, Guide
from .heads import DeepLabV3PlusHead, UNetHead
from .losses import ForegroundDiceLoss
from .multimodal_backbone import MultimodalBackbone
from .scores import SliceDice
from .segmentor import MultimodalSegmentor
from .tasks import SegmentationTask, Task

__all__ = [
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
    'SegmentationTask',
    'SliceDice',
    'Task',
    'UNetEncoder',
    'UNetHead',
]
