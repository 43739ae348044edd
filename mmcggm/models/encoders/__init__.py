"""Encoders of a single modality."""

from .deeplab import DeepLabEncoder
from .sequence import SequenceEncoder, SequenceTransformer
from .unet import UNetEncoder

__all__ = ['DeepLabEncoder', 'SequenceEncoder', 'SequenceTransformer', 'UNetEncoder']
