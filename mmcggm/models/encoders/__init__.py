"""Encoders of a single modality."""

from .cnn import SmallCNN
from .deeplab import DeepLabEncoder
from .pretrained import BertTextEncoder, PretrainedSequenceEncoder, PretrainedTransformer, ViTImageEncoder
from .sequence import SequenceEncoder, SequenceTransformer
from .unet import UNetEncoder

__all__ = [
    'BertTextEncoder',
    'DeepLabEncoder',
    'PretrainedSequenceEncoder',
    'PretrainedTransformer',
    'SequenceEncoder',
    'SequenceTransformer',
    'SmallCNN',
    'UNetEncoder',
    'ViTImageEncoder',
]
