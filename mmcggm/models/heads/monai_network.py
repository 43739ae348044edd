"""A whole network of MONAI as a decode head."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mmcggm.models.encoders.unet3d import EXTRA
from mmcggm.registry import MODELS
from mmcggm.utils import import_optional
from mmcggm.utils.spelling import did_you_mean

from .volume import VolumeHead


@MODELS.register_module()
class MonaiNetworkHead(VolumeHead):
    """A network of ``monai.networks.nets`` that takes all modalities as channels, with the losses of a head.

    Its backbone is a :class:`StackedModalities`. There is no encoder a modality, so nothing to balance: it is
    a baseline.

    Args:
        network: Config of the network; ``type`` is the class's name in ``monai.networks.nets``, such as
            ``'SegResNet'``. ``spatial_dims``, ``in_channels`` and ``out_channels`` are given to it.
        in_channels: Channels of all modalities together.
        **kwargs: Of :class:`VolumeHead`.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If it has no such network.
    """

    def __init__(self, network: Mapping[str, Any], in_channels: int, **kwargs) -> None:
        super().__init__(channels=1, in_channels=in_channels, in_index=0, init_cfg=None, **kwargs)
        del self.conv_seg  # the network has a classifier of its own
        nets = import_optional('monai.networks.nets', extra=EXTRA)
        settings = dict(network)
        name = settings.pop('type', None)
        kind = getattr(nets, str(name), None)
        if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
            raise ValueError(
                f"`decode_head.network.type`: monai.networks.nets has no '{name}'."
                f'{did_you_mean(str(name), sorted(vars(nets)))}'
            )
        self.network = kind(
            spatial_dims=3, in_channels=in_channels, out_channels=self.out_channels, **settings
        )

    def forward(self, inputs: tuple[Tensor]) -> Tensor:
        """Return logits ``(N, num_classes, D, H, W)`` of volumes ``(N, in_channels, D, H, W)``."""
        return self.network(self._transform_inputs(inputs))
