"""Encoders of earlier trainings that teach a model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader, find_latest_checkpoint
from torch import nn

from mmcggm.utils.checkpoints import CheckpointError, weights_of

from .capture import captured
from .encoder_paths import ModalityEncoder


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
            _load(copied, encoder, self._checkpoints[encoder.modality])
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


def _load(model: nn.Module, encoder: ModalityEncoder, path: str) -> None:
    """Give the modules of ``encoder`` in ``model`` the weights that the checkpoint has at their paths."""
    setting = f'teachers.{encoder.modality}'
    file = find_latest_checkpoint(path) if Path(path).is_dir() else path
    if file is None or not Path(file).is_file():
        raise FileNotFoundError(
            f"`{setting}`: no checkpoint '{path}'. Train '{encoder.modality}' alone first (the configs in "
            'configs/single do).'
        )
    try:
        state = weights_of(CheckpointLoader.load_checkpoint(str(file), map_location='cpu'), str(file))
    except CheckpointError as error:
        raise CheckpointError(f'`{setting}`: {error}') from error
    for module in encoder.modules:
        prefixes = (f'model.{module}.', f'{module}.')  # a GuidedModel has its inner model at `model`
        prefix = next((p for p in prefixes if any(name.startswith(p) for name in state)), prefixes[-1])
        own = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
        try:
            model.get_submodule(module).load_state_dict(own)
        except RuntimeError as error:
            raise ValueError(f"`{setting}`: '{file}' does not fit the module '{module}': {error}") from error
