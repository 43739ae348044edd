"""Encoders of a single modality."""

from .deeplab import DeepLabEncoder
from .unet import UNetEncoder

__all__ = ['DeepLabEncoder', 'UNetEncoder']
