"""What the channels of a decode head mean: how its logits become probabilities, and these labels."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmcggm.datasets.brats.label_conventions import Scheme
from mmcggm.datasets.brats.region_map import RegionMap

EPS = 1e-6  # probabilities nearer to 0 or 1 count as if they were so near; float32 tells them apart from both


class Outputs(ABC):
    """The meaning of K channels, for slices and for volumes.

    Attributes:
        labels (int): Number L of labels, the background's included.
        background (float): The first channel's probability where there is only background; the others' is 0.
    """

    labels: int
    background: float = 0.0

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probability of each channel, ``(N, K, *)`` in float32, of logits ``(N, K, *)``."""

    @abstractmethod
    def label_map(self, probabilities: Tensor) -> Tensor:
        """Return labels, uint8 ``(N, *)``, of probabilities ``(N, K, *)``."""

    @abstractmethod
    def label_logits(self, logits: Tensor) -> Tensor:
        """Return logits of labels ``(N, L, *)``, whose softmax is the probability of each label."""

    def decision(self, logits: Tensor) -> Tensor:
        """Return logits ``(N, L, *)`` of which the greatest is the label."""
        return self.label_logits(logits)

    def fits(self, scheme: Scheme) -> bool:
        """Return whether a network with these outputs can tell a challenge's classes apart."""
        return len(scheme.classes) <= self.labels

    def describe(self) -> str:
        """Say what there is, for messages."""
        return f'{self.labels} classes'


class LabelOutputs(Outputs):
    """A channel a label, of which a voxel has one: softmax, and the greatest."""

    background = 1.0

    def __init__(self, labels: int) -> None:
        self.labels = labels

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.float().softmax(dim=1)

    def label_map(self, probabilities: Tensor) -> Tensor:
        return probabilities.max(dim=1).indices.to(torch.uint8)  # argmax's, ten times as fast on a CPU

    def label_logits(self, logits: Tensor) -> Tensor:
        return logits


class BinaryOutputs(Outputs):
    """One channel for one label beside the background: sigmoid, and the threshold of the head."""

    labels = 2

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.float().sigmoid()

    def label_map(self, probabilities: Tensor) -> Tensor:
        return (probabilities[:, 0] > self.threshold).to(torch.uint8)

    def label_logits(self, logits: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(logits), logits], dim=1)

    def decision(self, logits: Tensor) -> Tensor:
        limit = torch.as_tensor(self.threshold, device=logits.device).logit().to(logits)
        return torch.cat([limit.expand_as(logits), logits], dim=1)


class RegionOutputs(Outputs):
    """A channel a region, which may overlap: sigmoid, and the most probable label.

    Args:
        region_map: The regions, in the order of the channels.
    """

    def __init__(self, region_map: RegionMap) -> None:
        self.region_map = region_map
        self.labels = region_map.labels

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.float().sigmoid()

    def label_map(self, probabilities: Tensor) -> Tensor:
        return self.label_logits(probabilities.logit(EPS)).max(dim=1).indices.to(torch.uint8)

    def label_logits(self, logits: Tensor) -> Tensor:
        return self.region_map.label_logits(logits)

    def fits(self, scheme: Scheme) -> bool:
        return self.region_map.fits(scheme)

    def describe(self) -> str:
        return f'{self.labels} classes and the regions {self.region_map.describe()}'


def outputs_of(head: BaseDecodeHead) -> Outputs:
    """Return what a decode head's channels mean: regions if its losses learn regions, else labels.

    Raises:
        ValueError: If some losses are of regions and others of labels or other regions, or the head has not a
            channel a region.
    """
    criteria = head.loss_decode if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]
    maps = [getattr(criterion, 'region_map', None) for criterion in criteria]
    region_map = next((found for found in maps if found is not None), None)
    if region_map is None:
        return BinaryOutputs(head.threshold) if head.out_channels == 1 else LabelOutputs(head.out_channels)
    names = ', '.join(region_map.regions)
    for place, (criterion, found) in enumerate(zip(criteria, maps, strict=True)):
        if found != region_map:
            what = 'labels that exclude each other' if found is None else ', '.join(found.regions)
            raise ValueError(
                f'`loss_decode[{place}]`, a {type(criterion).__name__}, is of {what}, but another loss of '
                f'the head learns the regions {names}: give all of them the same `regions`. Losses of '
                "regions are those of `MonaiLoss`, such as `name='DiceFocalLoss'`."
            )
    if head.out_channels != len(region_map):
        raise ValueError(
            f'`num_classes` of the decode head is {head.num_classes}, but its loss learns the regions '
            f'{names}, a channel each: set `num_classes={len(region_map)}`, and that of the guides as well.'
        )
    return RegionOutputs(region_map)
