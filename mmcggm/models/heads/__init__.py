"""Layers and decoders that end in a prediction."""

from .cosine import CosineHead
from .deeplab import DeepLabV3PlusHead
from .monai_network import MonaiNetworkHead
from .segformer3d import Segformer3DHead
from .unet import UNetHead
from .unet3d import UNet3DHead
from .volume import VolumeHead

__all__ = [
    'CosineHead',
    'DeepLabV3PlusHead',
    'MonaiNetworkHead',
    'Segformer3DHead',
    'UNet3DHead',
    'UNetHead',
    'VolumeHead',
]
