"""Collated samples to a batch of one tensor a modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmcggm.registry import MODELS


@MODELS.register_module()
class MultimodalDataPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the model's device and stacks each modality's samples.

    Takes what ``pseudo_collate`` makes of samples ``dict(inputs={modality: tensor}, data_samples=...)``,
    that is ``inputs={modality: [tensor, ...]}``, and returns ``inputs={modality: (N, ...)}``.
    Works for any shape of input: slices ``(C, H, W)``, volumes ``(C, D, H, W)``, sequences ``(L, C)``.

    Args:
        mean: Value to subtract by modality, applied before ``std``. Default: none.
        std: Value to divide by, by modality. Default: none.
        standardise: Modalities whose channels, on the last axis, are brought to mean 0 and deviation 1; True
            for all. They are those of the training split: :class:`StandardisationHook` finds them
            before training, and they are saved with the weights, as ``mean_{modality}`` and
            ``std_{modality}`` ``(C,)``.
        non_blocking: Whether copies to the device overlap with computation (pinned memory).

    Raises:
        ValueError: If samples of a modality differ in shape, or are to be standardised and it isn't known
            how.
    """

    def __init__(
        self,
        mean: dict[str, float] | None = None,
        std: dict[str, float] | None = None,
        standardise: bool | Sequence[str] = (),
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        self.standardise = standardise if isinstance(standardise, bool) else tuple(standardise)
        self.mean = mean or {}
        self.std = std or {}

    def forward(self, data: dict, training: bool = False) -> dict:
        data = self.cast_data(data)
        inputs = {modality: self._stack(modality, samples) for modality, samples in data['inputs'].items()}
        return {**data, 'inputs': inputs}

    def standardises(self, modality: str) -> bool:
        """Whether the channels of ``modality`` are standardised."""
        return self.standardise if isinstance(self.standardise, bool) else modality in self.standardise

    def set_statistics(self, modality: str, mean: Tensor, std: Tensor) -> None:
        """Set mean and deviation ``(C,)`` of a modality's channels."""
        device = self.device
        self.register_buffer(f'mean_{modality}', mean.to(device))
        self.register_buffer(f'std_{modality}', std.to(device))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        for name in [name for name in state_dict if name.startswith(f'{prefix}mean_')]:
            modality = name.removeprefix(f'{prefix}mean_')
            std = state_dict.get(f'{prefix}std_{modality}')
            if self.standardises(modality) and std is not None:
                self.set_statistics(modality, torch.empty_like(state_dict[name]), torch.empty_like(std))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _stack(self, modality: str, samples: list[Tensor] | Tensor) -> Tensor:
        if not isinstance(samples, Tensor):
            shapes = {tuple(sample.shape) for sample in samples}
            if len(shapes) > 1:
                raise ValueError(
                    f"The samples of modality '{modality}' in one batch differ in shape: {sorted(shapes)}. "
                    'Crop or pad them to one shape in the pipeline, or use batch_size=1.'
                )
            samples = torch.stack(list(samples))
        samples = samples.float() if samples.dtype == torch.uint8 else samples
        if modality in self.mean:
            samples = samples - self.mean[modality]
        if modality in self.std:
            samples = samples / self.std[modality]
        return self._standardised(modality, samples) if self.standardises(modality) else samples

    def _standardised(self, modality: str, samples: Tensor) -> Tensor:
        mean, std = (getattr(self, f'{kind}_{modality}', None) for kind in ('mean', 'std'))
        if mean is None:
            raise ValueError(
                f"'{modality}' is to be standardised, but its mean and deviation are not known: the "
                'checkpoint has none. They are found before training, by `custom_hooks = '
                '[dict(type="StandardisationHook")]`.'
            )
        if mean.shape[0] != samples.shape[-1]:
            raise ValueError(
                f"'{modality}' has {samples.shape[-1]} channels, but the statistics are of {mean.shape[0]}: "
                'these are not the features that the model was trained on.'
            )
        return (samples - mean) / std
