"""Collated samples to a batch of one tensor a modality."""

from __future__ import annotations

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
        non_blocking: Whether copies to the device overlap with computation (pinned memory).

    Raises:
        ValueError: If samples of a modality differ in shape, or have none in common.
    """

    def __init__(
        self,
        mean: dict[str, float] | None = None,
        std: dict[str, float] | None = None,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        self.mean = mean or {}
        self.std = std or {}

    def forward(self, data: dict, training: bool = False) -> dict:
        data = self.cast_data(data)
        inputs = {modality: self._stack(modality, samples) for modality, samples in data['inputs'].items()}
        return {**data, 'inputs': inputs}

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
        return samples
