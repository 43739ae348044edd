"""MONAI's segmentation losses as losses of a decode head."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmcggm.datasets.brats.region_map import RegionMap
from mmcggm.registry import MODELS
from mmcggm.utils import import_optional
from mmcggm.utils.spelling import did_you_mean

ACTIVATIONS = ('softmax', 'sigmoid', 'other_act')  # settings of MONAI's losses that make probabilities


@MODELS.register_module()
class MonaiLoss(nn.Module):
    """A loss of ``monai.losses``, of logits ``(N, K, *)`` and labels ``(N, *)``, for slices or volumes.

    With ``regions`` the K channels are regions that may overlap, such as WT, TC and ET, each predicted by a
    sigmoid, and the loss compares them with the masks of the labels. Guides and segmentor then know of it
    (:mod:`mmcggm.models.outputs`). Dice and binary cross-entropy are ``name='DiceFocalLoss', gamma=0.0``;
    Dice and focal loss are the same with a larger ``gamma``.

    Args:
        name: Its class, such as ``'DiceCELoss'`` or ``'DiceFocalLoss'``.
        regions: Regions, in the order of the channels: the name of a label convention, such as ``'gli2023'``,
            or the training labels of each region by name; see
            :class:`~mmcggm.datasets.brats.region_map.RegionMap`. None: the channels are labels that exclude
            each other.
        loss_weight: Factor on the loss.
        loss_name: Name in the log; holds ``loss`` so that it is added to the total.
        **settings: Arguments of the class. Of Dice losses over labels that exclude each other
            ``to_onehot_y=True, softmax=True``; of regions neither, and ``sigmoid=True`` is the default.
            ``weight`` is a list of numbers, one a channel.

    Attributes:
        region_map (RegionMap | None): The regions.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If MONAI has no such loss, regions have a loss of labels, or a loss of labels has no
            activation, so that it would take logits for probabilities.
    """

    def __init__(
        self,
        name: str = 'DiceCELoss',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_monai',
        regions: str | Mapping[str, Sequence[int]] | None = None,
        **settings,
    ) -> None:
        super().__init__()
        losses = import_optional('monai.losses', extra='brats3d')
        kind = getattr(losses, name, None)
        if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
            classes = sorted(key for key, value in vars(losses).items() if inspect.isclass(value))
            raise ValueError(
                f"`loss_decode.name`: monai.losses has no '{name}'.{did_you_mean(name, classes)}"
            )
        if isinstance(settings.get('weight'), (list, tuple)):
            settings['weight'] = torch.tensor(settings['weight'])
        known = inspect.signature(kind).parameters
        self.region_map = None if regions is None else RegionMap(regions, 'loss_decode.regions')
        if self.region_map is not None:
            _check_overlap(name, settings)
            if 'sigmoid' in known:
                settings['sigmoid'] = True
        elif 'softmax' in known and not any(map(settings.get, ACTIVATIONS)):
            raise ValueError(
                f'`loss_decode`: {name} would take the logits for probabilities: set `softmax=True`, and '
                '`to_onehot_y=True`. Of a head with one channel it is `sigmoid=True`.'
            )
        self.compares_masks = 'to_onehot_y' in known and not settings.get('to_onehot_y')
        self.criterion = kind(**settings)
        # MONAI's losses with a cross-entropy take its binary form of a single channel alone.
        excluding = any(isinstance(module, nn.CrossEntropyLoss) for module in self.criterion.modules())
        if self.region_map is not None and len(self.region_map) > 1 and excluding:
            raise ValueError(
                f'`loss_decode`: the cross-entropy of {name} is of labels that exclude each other, but '
                "`regions` overlap. Dice and binary cross-entropy are `name='DiceFocalLoss', gamma=0.0`."
            )
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int | None = None
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            pred: Logits ``(N, K, *)``.
            target: Labels ``(N, *)``, integers, of regions too; each counts, as MONAI knows no label that
                does not.
            weight: None: MONAI weighs classes, not voxels.
            ignore_index: Of a decode head; no label may have it.

        Raises:
            ValueError: If there are weights of voxels, or labels that are not made masks, or other than a
                channel a region.
        """
        if weight is not None:
            raise ValueError(
                f'{type(self.criterion).__name__} of MONAI takes no weights of voxels: remove '
                '`decode_head.sampler`.'
            )
        if self.region_map is None:
            if self.compares_masks and pred.shape[1] > 1:
                raise ValueError(
                    f'`loss_decode`: {type(self.criterion).__name__} compares the {pred.shape[1]} channels '
                    'of the prediction with masks, not with labels: set `to_onehot_y=True`.'
                )
            return self.loss_weight * self.criterion(pred, target.unsqueeze(1))
        if pred.shape[1] != len(self.region_map):
            raise ValueError(
                f'`loss_decode.regions` names {", ".join(self.region_map.regions)}, but the prediction has '
                f'{pred.shape[1]} channels: set `num_classes={len(self.region_map)}`.'
            )
        # For sums over voxels; under autocast softmax comes in float32 by itself, a sigmoid does not.
        pred = pred.to(torch.promote_types(pred.dtype, torch.float32))
        return self.loss_weight * self.criterion(pred, self.region_map.masks(target).to(pred.dtype))

    def check_data(self, metainfo: Mapping[str, Any]) -> None:
        """Raise a ValueError unless regions fit the ``classes`` and ``regions`` of a data set's metainfo."""
        if self.region_map is None or 'classes' not in metainfo:
            return
        misfit = self.region_map.misfit(len(metainfo['classes']), metainfo.get('regions', {}))
        if misfit:
            raise ValueError(f"{misfit} Name the data's label convention in `loss_decode.regions`.")


def _check_overlap(name: str, settings: Mapping[str, Any]) -> None:
    """Raise a ValueError if settings of a loss take channels for labels that exclude each other."""
    wrong = dict(softmax=True, use_softmax=True, to_onehot_y=True, sigmoid=False, include_background=False)
    found = [f'{key}={value}' for key, value in wrong.items() if settings.get(key) is value]
    if found:
        raise ValueError(
            f'`loss_decode`: {name} with {", ".join(found)} is of labels that exclude each other, but '
            '`regions` overlap, and the first of them is no background: remove the setting.'
        )
