"""MONAI's segmentation losses as losses of a decode head."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn

from mmcggm.registry import MODELS
from mmcggm.utils import import_optional
from mmcggm.utils.spelling import did_you_mean


@MODELS.register_module()
class MonaiLoss(nn.Module):
    """A loss of ``monai.losses``, of logits ``(N, K, *)`` and labels ``(N, *)``, for slices or volumes.

    Args:
        name: Its class, such as ``'DiceCELoss'`` or ``'DiceFocalLoss'``.
        loss_weight: Factor on the loss.
        loss_name: Name in the log; holds ``loss`` so that it is added to the total.
        **settings: Arguments of the class. Of Dice losses over labels that exclude each other
            ``to_onehot_y=True, softmax=True``. ``weight`` is a list of numbers, one a class.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If MONAI has no such loss.
    """

    def __init__(
        self, name: str = 'DiceCELoss', loss_weight: float = 1.0, loss_name: str = 'loss_monai', **settings
    ) -> None:
        super().__init__()
        losses = import_optional('monai.losses', extra='brats3d')
        kind = getattr(losses, name, None)
        if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
            raise ValueError(
                f"`loss_decode.name`: monai.losses has no '{name}'.{did_you_mean(name, sorted(vars(losses)))}"
            )
        if isinstance(settings.get('weight'), (list, tuple)):
            settings['weight'] = torch.tensor(settings['weight'])
        self.criterion = kind(**settings)
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int | None = None
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            pred: Logits ``(N, K, *)``.
            target: Labels ``(N, *)``, integers; each counts, as MONAI knows no label that does not.
            weight: None: MONAI weighs classes, not voxels.
            ignore_index: Of a decode head; no label may have it.

        Raises:
            ValueError: If there are weights of voxels.
        """
        if weight is not None:
            raise ValueError(
                f'{type(self.criterion).__name__} of MONAI takes no weights of voxels: remove '
                '`decode_head.sampler`.'
            )
        return self.loss_weight * self.criterion(pred, target.unsqueeze(1))
