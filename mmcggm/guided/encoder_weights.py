"""An encoder's weights from an earlier training."""

from __future__ import annotations

from pathlib import Path

from mmengine.runner import CheckpointLoader, find_latest_checkpoint
from torch import nn

from mmcggm.utils.checkpoints import CheckpointError, weights_of

from .encoder_paths import ModalityEncoder


def load_encoder(model: nn.Module, encoder: ModalityEncoder, path: str, setting: str) -> None:
    """Give the modules of ``encoder`` in ``model`` the weights that a checkpoint has at their paths.

    Args:
        model: The inner model.
        encoder: Which of its encoders.
        path: A checkpoint of this model or of a GuidedModel around it, or the folder of a training, whose
            last is taken.
        setting: What named the checkpoint, for errors.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it is more than data, damaged, or has not the weights of this encoder.
    """
    setting = f'{setting}.{encoder.modality}'
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
