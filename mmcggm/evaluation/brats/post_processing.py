"""Corrections of a volume's labels by the habits of the BraTS challenges."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from mmcggm.datasets.brats.label_conventions import get_convention
from mmcggm.datasets.brats.region_map import RegionMap, is_any_of
from mmcggm.registry import POST_PROCESSING
from mmcggm.utils import import_optional
from mmcggm.utils.spelling import did_you_mean

BACKGROUND = 'background'


class PostProcessing(ABC):
    """Gives voxels of a region another label.

    Args:
        region: Its name, such as ``'ET'``.
        by: The label that they get: what the challenge calls it in short, such as ``'NCR'``, or
            ``'background'``.
        labels: Name of a label convention of the data, see :mod:`mmcggm.datasets.brats.label_conventions`,
            which tells what the names mean.

    Attributes:
        region_map (RegionMap): The regions of the convention.

    Raises:
        ValueError: If the convention, or a name in it, is not there.
    """

    def __init__(self, region: str, by: str, labels: str = 'gli2023') -> None:
        scheme = get_convention(labels).scheme
        names = (BACKGROUND, *scheme.short)
        self.region_map = RegionMap(labels, 'labels')
        for key, name, known in (('region', region, list(self.region_map.regions)), ('by', by, names)):
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__}: `{key}` is '{name}'; {labels} has {', '.join(known)}."
                    f'{did_you_mean(name, known)} `labels` names another label convention.'
                )
        self.members = self.region_map.regions[region]
        self.by = names.index(by)
        if self.by in self.members:
            raise ValueError(f'{type(self).__name__}: `by`, {by}, is itself in the region {region}.')

    @abstractmethod
    def __call__(self, labels: Tensor, spacing: Sequence[float] | None) -> Tensor:
        """Return corrected labels.

        Args:
            labels: Training labels (D, H, W) of a whole volume, uint8.
            spacing: Size of a voxel in mm along each axis, or None if it is not known.
        """

    def check_data(self, classes: Sequence[str], regions: dict[str, Sequence[int]]) -> None:
        """Raise a ValueError unless the data have the classes and regions of the convention."""
        misfit = self.region_map.misfit(len(classes), regions)
        if misfit:
            raise ValueError(f'`test_cfg.post_processing`: {type(self).__name__}: {misfit}')


@POST_PROCESSING.register_module()
class ReplaceSmall(PostProcessing):
    """Takes a region away where all of it in the volume is small, by giving it another label.

    Of a glioma without enhancing tumour a few voxels of it are a Dice of 0, so entries to the challenge make
    small enhancing tumour necrotic core. ``SmallRegionThreshold`` chooses the limit on validation data.

    Args:
        region: The region.
        by: The label that takes its place.
        below: The limit in mm³: a region of less volume, in the whole volume, is replaced.
        labels: As of :class:`PostProcessing`.

    Raises:
        ValueError: If a name is not there, or the limit is not positive.
    """

    def __init__(self, below: float, region: str = 'ET', by: str = 'NCR', labels: str = 'gli2023') -> None:
        super().__init__(region, by, labels)
        if not below > 0:
            raise ValueError(f'ReplaceSmall: `below` must be a positive volume in mm³, got {below!r}.')
        self.below = below

    def __call__(self, labels: Tensor, spacing: Sequence[float] | None) -> Tensor:
        mask = is_any_of(labels, self.members)
        if volume_of(mask, spacing) < self.below:
            return labels.masked_fill(mask, self.by)
        return labels


@POST_PROCESSING.register_module()
class KeepLargest(PostProcessing):
    """Keeps the largest connected components of a region; the other voxels of it get another label.

    By MONAI's ``KeepLargestConnectedComponent``. Voxels that touch, at a corner too, are connected.

    Args:
        region: The region.
        components: How many components are kept.
        by: The label that the others get.
        labels: As of :class:`PostProcessing`.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If a name is not there, or no component is kept.
    """

    def __init__(
        self, region: str = 'WT', components: int = 1, by: str = BACKGROUND, labels: str = 'gli2023'
    ) -> None:
        super().__init__(region, by, labels)
        if components < 1:
            raise ValueError(f'KeepLargest: `components` must be at least 1, got {components}.')
        transforms = import_optional('monai.transforms', extra='brats3d')
        self.keep = transforms.KeepLargestConnectedComponent(applied_labels=[1], num_components=components)

    def __call__(self, labels: Tensor, spacing: Sequence[float] | None) -> Tensor:
        mask = is_any_of(labels, self.members)
        kept = self.keep(mask.to(torch.uint8).unsqueeze(0)).squeeze(0).to(mask)
        return labels.masked_fill(mask & ~kept, self.by)


def volume_of(mask: Tensor, spacing: Sequence[float] | None) -> float:
    """Return the volume in mm³ of the true voxels.

    Raises:
        ValueError: If the size of voxels is not known.
    """
    if spacing is None:
        raise ValueError(
            'Volumes in mm³ need the size of voxels, which the sample lacks: `spacing` must be in '
            '`meta_keys` of `PackMultimodalInputs`.'
        )
    return int(mask.sum()) * math.prod(spacing)
