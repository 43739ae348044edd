"""Guides: small networks that predict the task from one modality's representation."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcggm.registry import MODELS


class Guide(BaseModule):
    """A guide of one modality; the paper calls it a classifier.

    It sees the representation detached, so it learns from the encoder without moving it.
    """

    @property
    @abstractmethod
    def last_layer(self) -> nn.Module:
        """The layer whose ``weight`` has the shape of the head's last layer's."""

    @abstractmethod
    def forward(self, representation: Any) -> Tensor:
        """Return a prediction in the form of the head's logits."""


@MODELS.register_module()
class DecodeHeadGuide(Guide):
    """A segmentation guide: any decode head of ``mmseg``'s kind on the encoder's feature maps.

    Args:
        head: Config of the decode head. Its losses are not used: the task's are.
        init_cfg: Initialisation.
    """

    def __init__(self, head: dict, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        # Never evaluated; without it the head looks for its default loss in this project's registry.
        self.head = MODELS.build({'loss_decode': dict(type='mmseg.CrossEntropyLoss'), **head})

    @property
    def last_layer(self) -> nn.Module:
        return self.head.conv_seg

    def forward(self, representation: tuple[Tensor, ...]) -> Tensor:
        """Return logits ``(N, num_classes, H', W')`` for a pyramid of feature maps."""
        return self.head(representation)
