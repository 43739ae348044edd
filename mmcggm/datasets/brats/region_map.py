"""Overlapping regions of labels, such as WT, TC and ET, and the labels that they tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .label_conventions import Scheme, get_convention


class RegionMap:
    """Regions that a network predicts one by one, and the training labels that follow from them.

    Label 0, the background, lies in no region. No two labels lie in the same regions, so that the regions of
    a voxel tell its label.

    Args:
        regions: Name of a label convention, see :mod:`mmcggm.datasets.brats.label_conventions`, whose
            challenge's regions these are; or the training labels of each region by name.
        key: Where the config has them, for errors.

    Attributes:
        regions (dict[str, tuple[int, ...]]): The training labels of each region by name, K of them.
        labels (int): Number L of labels, the background's included.

    Raises:
        ValueError: If there is no such convention, or regions do not tell labels apart; it names them.

    Example:
        >>> RegionMap('gli2023').regions
        {'WT': (1, 2, 3), 'TC': (1, 3), 'ET': (3,)}
    """

    def __init__(self, regions: str | Mapping[str, Sequence[int]], key: str = 'regions') -> None:
        if isinstance(regions, str):
            try:
                regions = get_convention(regions).scheme.regions
            except ValueError as error:
                raise ValueError(
                    f'`{key}`: {error} Or give the training labels of each region: '
                    f'`{key}=dict(WT=(1, 2, 3), TC=(1, 3), ET=(3,))`.'
                ) from error
        self.key = key
        self.regions = {name: tuple(labels) for name, labels in regions.items()}
        held = {label for labels in self.regions.values() for label in labels}
        self.labels = len(held) + 1
        if not held or held != set(range(1, self.labels)):
            raise ValueError(
                f'`{key}` must hold the training labels 1, 2, … without a gap, and not the background 0; '
                f'{self.regions} holds {sorted(held)}.'
            )
        # By label, the places of its regions.
        self._places = [
            [place for place, labels in enumerate(self.regions.values()) if label in labels]
            for label in range(self.labels)
        ]
        for label, places in enumerate(self._places):
            if (other := self._places.index(places)) != label:
                names = [list(self.regions)[place] for place in places]
                raise ValueError(
                    f'`{key}`: labels {other} and {label} both lie in {", ".join(names)} and in no other '
                    'region, so no label map can be made of the regions: add a region that tells them apart.'
                )

    def __len__(self) -> int:
        return len(self.regions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegionMap) and self.regions == other.regions

    __hash__ = None  # type: ignore[assignment]

    def masks(self, labels: Tensor) -> Tensor:
        """Return where labels ``(N, *)`` lie in each region, bool ``(N, K, *)``."""
        return torch.stack([is_any_of(labels, members) for members in self.regions.values()], dim=1)

    def label_logits(self, logits: Tensor) -> Tensor:
        """Return the logits of labels ``(N, L, *)`` of regions' logits ``(N, K, *)``.

        A label has the sum of the logits of the regions in which it lies, the background 0. With
        p = sigmoid(logit), softmax of this is ∏ p over a label's regions times ∏ (1 - p) over the others, as
        a share of all labels': its probability if regions are independent and each voxel has one label.

        So the greatest is the label whose regions are those with p above 0.5, if there is one. If there is
        none, such as where ET has p above 0.5 and WT below, it is the most probable label.
        """
        zero = torch.zeros_like(logits[:, 0])
        return torch.stack([sum((logits[:, k] for k in places), zero) for places in self._places], dim=1)

    def misfit(self, classes: int, regions: Mapping[str, Sequence[int]]) -> str | None:
        """Say what differs from data with so many classes and such regions, or return None."""
        mine = self.describe()
        if classes != self.labels:
            return (
                f'`{self.key}`, {mine}, tells {self.labels} classes apart, background included, but the data '
                f'have {classes}.'
            )
        for name, labels in self.regions.items():
            if name in regions and set(regions[name]) != set(labels):
                return (
                    f'`{self.key}` has {mine}, but in the data {name} = {"+".join(map(str, regions[name]))}.'
                )
        return None

    def describe(self) -> str:
        """Say which labels each region has."""
        return ', '.join(f'{name} = {"+".join(map(str, labels))}' for name, labels in self.regions.items())

    def fits(self, scheme: Scheme) -> bool:
        """Return whether a challenge has these classes and regions."""
        return self.misfit(len(scheme.classes), scheme.regions) is None


def is_any_of(labels_map: Tensor, labels: Sequence[int]) -> Tensor:
    """Return where ``labels_map`` holds one of ``labels``; nothing is copied to the device for it."""
    mask = labels_map == labels[0]
    for label in labels[1:]:
        mask |= labels_map == label
    return mask
