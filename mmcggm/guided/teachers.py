"""Encoders of earlier trainings that teach a model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from .capture import captured
from .encoder_paths import ModalityEncoder
from .encoder_weights import load_encoder


class Teachers:
    """A frozen copy of a model, whose encoders have the weights of other trainings.

    It runs as the model does, so that each teacher sees what the encoder that it teaches sees, whatever
    comes before it. It is not a module: the model's checkpoints and optimizer don't hold it.

    Args:
        checkpoints: By modality; a file, or the folder of a training, whose last is taken.
        encoders: Those of the model.

    Raises:
        ValueError: If a modality is unknown.
    """

    def __init__(self, checkpoints: Mapping[str, str], encoders: Sequence[ModalityEncoder]) -> None:
        names = [encoder.modality for encoder in encoders]
        unknown = [modality for modality in checkpoints if modality not in names]
        if unknown:
            raise ValueError(f'`teachers` names {unknown}, but `encoders` names {names}.')
        self._checkpoints = checkpoints
        self._encoders = [encoder for encoder in encoders if encoder.modality in checkpoints]
        self._model: nn.Module | None = None

    def load(self, model: nn.Module) -> None:
        """Copy ``model`` and load the teachers, once.

        Raises:
            FileNotFoundError: If there is no checkpoint.
            ValueError: If a checkpoint is more than data, damaged, or has not the weights of this encoder.
        """
        if self._model is not None or not self._encoders:
            return
        copied = deepcopy(model).eval().requires_grad_(False)
        for encoder in self._encoders:
            load_encoder(copied, encoder, self._checkpoints[encoder.modality], 'teachers')
        self._model = copied

    @torch.no_grad()
    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the teachers' representations by modality; without those that the batch lacks.

        Raises:
            ValueError: If there are no teachers.
        """
        if self._model is None:
            raise ValueError(
                'This balancer needs teachers: `model.teachers` names, by modality, the checkpoint of a '
                'training of that modality alone (the configs in configs/single make them).'
            )
        with captured(self._model, self._encoders) as representations:
            self._model(*args, **kwargs)
        return representations
