"""Decoders that end in a prediction."""

from .deeplab import DeepLabV3PlusHead
from .unet import UNetHead

__all__ = ['DeepLabV3PlusHead', 'UNetHead']
