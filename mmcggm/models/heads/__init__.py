"""Layers and decoders that end in a prediction."""

from .cosine import CosineHead
from .deeplab import DeepLabV3PlusHead
from .unet import UNetHead

__all__ = ['CosineHead', 'DeepLabV3PlusHead', 'UNetHead']
