"""Encoders of a single modality."""

from .cnn import SmallCNN
from .deeplab import DeepLabEncoder
from .pretrained import BertTextEncoder, PretrainedSequenceEncoder, PretrainedTransformer, ViTImageEncoder
from .sequence import SequenceEncoder, SequenceTransformer
from .unet import UNetEncoder
from .unet3d import UNet3DEncoder

__all__ = [
    'BertTextEncoder',
    'DeepLabEncoder',
    'PretrainedSequenceEncoder',
    'PretrainedTransformer',
    'SequenceEncoder',
    'SequenceTransformer',
    'SmallCNN',
    'UNet3DEncoder',
    'UNetEncoder',
    'ViTImageEncoder',
]
