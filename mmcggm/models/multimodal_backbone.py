"""One encoder a modality, then fusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule, ModuleDict
from torch import Tensor

from mmcggm.registry import MODELS
from mmcggm.structures.misfit import naming_misfit

from .fusions import Fusion

FOR_SEQUENCES = (
    'Give sequences an encoder of their own, in `backbone.encoders`, such as '
    "dict(type='SequenceEncoder', dim=64, num_layers=2, num_heads=4), or pool them to vectors (N, C) in "
    'the data.'
)


@MODELS.register_module()
class MultimodalBackbone(BaseModule):
    """Encodes each modality on its own and fuses the representations.

    A model's backbone, such as that of a segmentor or of a :class:`MultimodalPredictor`.

    The encoders are at the paths ``encoders.{modality}``.

    Args:
        modalities: Names of the modalities. Default: those of ``in_channels``.
        encoder: Config of an encoder. Each modality gets an encoder of its own.
        fusion: Config of a fusion module; it receives ``num_modalities``.
        encoders: Configs of encoders by modality, for those that differ from ``encoder``.
        in_channels: Channels of the input by modality, given to each encoder as its ``in_channels``.
        init_cfg: Initialisation.

    Attributes:
        in_channels: By modality, those of its encoder's config; of encoders without, None.

    Raises:
        ValueError: If a modality has no encoder, or ``encoders`` or ``in_channels`` name an unknown modality.
    """

    def __init__(
        self,
        modalities: Sequence[str] | None = None,
        fusion: dict = dict(type='ConcatFusion'),
        encoder: dict | None = None,
        encoders: dict[str, dict] | None = None,
        in_channels: dict[str, int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        encoders, in_channels = encoders or {}, in_channels or {}
        modalities = list(in_channels) if modalities is None else list(modalities)
        if not modalities:
            raise ValueError('No modality: give `modalities`, or `in_channels` by modality.')
        for setting, names in (('encoders', encoders), ('in_channels', in_channels)):
            unknown = [modality for modality in names if modality not in modalities]
            if unknown:
                raise ValueError(
                    f'`{setting}` names {unknown}, but `modalities` are {modalities}. What a base config '
                    f'named stays until it is taken out: {setting}=dict(_delete_=True, ...).'
                )
        missing = [modality for modality in modalities if modality not in encoders]
        if missing and encoder is None:
            raise ValueError(f'No encoder for {missing}: give `encoder`, or an entry each in `encoders`.')
        configs = {m: dict(encoders.get(m, encoder)) for m in modalities}
        for modality, channels in in_channels.items():
            configs[modality]['in_channels'] = channels
        self.in_channels = {modality: config.get('in_channels') for modality, config in configs.items()}
        self.encoders = ModuleDict({m: MODELS.build(config) for m, config in configs.items()})
        self.fusion = MODELS.build({**fusion, 'num_modalities': len(modalities)})
        self._name_representations()

    def forward(self, inputs: dict[str, Any]) -> Tensor | tuple[Tensor, ...]:
        """Return what the fusion makes of a batch: feature maps, or vectors ``(N, dim)``.

        Args:
            inputs: What each modality's encoder takes, such as images ``(N, C, H, W)`` or tokens and
                their padding.

        Raises:
            KeyError: If a modality is missing from the batch.
            ValueError: If an encoder can't take what the batch has for it, such as a sequence.
        """
        missing = [modality for modality in self.encoders if modality not in inputs]
        if missing:
            raise KeyError(f'The batch lacks the modalities {missing}; it holds {list(inputs)}.')
        representations = []
        for modality, encoder in self.encoders.items():
            who = f"The encoder of '{modality}', of type {type(encoder).__name__},"
            with naming_misfit(who, inputs[modality], sequences=FOR_SEQUENCES):
                representations.append(encoder(inputs[modality]))
        return self.fusion(representations)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Bring the modalities into the order of the weights, in which the fusion was learned.

        A config that names them by ``in_channels`` alone loses it when MMEngine saves it: it sorts all names.
        """
        start = f'{prefix}encoders.'
        names = (name.removeprefix(start).partition('.')[0] for name in state_dict if name.startswith(start))
        learned = [modality for modality in dict.fromkeys(names) if modality in self.encoders]
        if learned != [modality for modality in self.encoders if modality in learned]:
            if len(learned) < len(self.encoders):  # the others have no weights
                error_msgs = args[-1]
                error_msgs.append(
                    f'the weights have the modalities in the order {learned}, the config in '
                    f'{list(self.encoders)}: set `backbone.modalities` as in the training'
                )
            else:
                encoders = {modality: self.encoders[modality] for modality in learned}
                self.encoders.clear()
                self.encoders.update(encoders)
                self._name_representations()
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _name_representations(self) -> None:
        """Let errors of the fusion name what does not fit."""
        if isinstance(self.fusion, Fusion):
            self.fusion.names = [f"'{modality}'" for modality in self.encoders]
