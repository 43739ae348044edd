"""One encoder a modality, then fusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule, ModuleDict
from torch import Tensor

from mmcggm.registry import MODELS


@MODELS.register_module()
class MultimodalBackbone(BaseModule):
    """Encodes each modality on its own and fuses the representations.

    A model's backbone, such as that of a segmentor or of a :class:`MultimodalPredictor`.

    The encoders are at the paths ``encoders.{modality}``.

    Args:
        modalities: Names of the modalities.
        encoder: Config of an encoder. Each modality gets an encoder of its own.
        fusion: Config of a fusion module; it receives ``num_modalities``.
        encoders: Configs of encoders by modality, for those that differ from ``encoder``.
        init_cfg: Initialisation.

    Raises:
        ValueError: If a modality has no encoder, or ``encoders`` names an unknown modality.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        fusion: dict,
        encoder: dict | None = None,
        encoders: dict[str, dict] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        encoders = encoders or {}
        unknown = [modality for modality in encoders if modality not in modalities]
        if unknown:
            raise ValueError(f'`encoders` names {unknown}, but `modalities` are {list(modalities)}.')
        missing = [modality for modality in modalities if modality not in encoders]
        if missing and encoder is None:
            raise ValueError(f'No encoder for {missing}: give `encoder`, or an entry each in `encoders`.')
        self.encoders = ModuleDict({m: MODELS.build(encoders.get(m, encoder)) for m in modalities})
        self.fusion = MODELS.build({**fusion, 'num_modalities': len(modalities)})

    def forward(self, inputs: dict[str, Any]) -> Tensor | tuple[Tensor, ...]:
        """Return what the fusion makes of a batch: feature maps, or vectors ``(N, dim)``.

        Args:
            inputs: What each modality's encoder takes, such as images ``(N, C, H, W)`` or tokens and
                their padding.

        Raises:
            KeyError: If a modality is missing from the batch.
        """
        missing = [modality for modality in self.encoders if modality not in inputs]
        if missing:
            raise KeyError(f'The batch lacks the modalities {missing}; it holds {list(inputs)}.')
        return self.fusion([encoder(inputs[modality]) for modality, encoder in self.encoders.items()])
