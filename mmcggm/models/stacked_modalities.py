"""All modalities as the channels of one image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmcggm.registry import MODELS


@MODELS.register_module()
class StackedModalities(BaseModule):
    """A backbone without weights that concatenates the modalities along their channels: early fusion.

    Args:
        modalities: Their names, in the order of the channels.
        init_cfg: Initialisation.
    """

    def __init__(self, modalities: Sequence[str], init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.modalities = tuple(modalities)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor]:
        """Return ``(N, Σ C, *)`` of images ``{modality: (N, C, *)}``, as a pyramid of one level.

        Raises:
            KeyError: If a modality is missing from the batch.
        """
        missing = [modality for modality in self.modalities if modality not in inputs]
        if missing:
            raise KeyError(f'The batch lacks the modalities {missing}; it holds {list(inputs)}.')
        return (torch.cat([inputs[modality] for modality in self.modalities], dim=1),)
