"""Several checkpoints of one network that segment together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from mmcggm.models import MultimodalSegmentor
from mmcggm.utils.checkpoints import CheckpointError, read_checkpoint

from .weights import load_weights


def set_ensemble(model: nn.Module, checkpoints: Sequence[str | Path], trust: bool = False) -> None:
    """Let a segmentor, guided or not, predict the mean of the probabilities of several checkpoints.

    Their weights are kept in main memory; the device holds those of one at a time.

    Args:
        model: The model of the checkpoints' config.
        checkpoints: Their paths; all of this network.
        trust: Whether they may hold more than data, and so run any code.

    Raises:
        FileNotFoundError: If a checkpoint is not there.
        CheckpointError: If one is more than data, does not fit the model, or has other classes than the
            first.
        ValueError: If the model does not segment volumes.
    """
    segmentor = getattr(model, 'model', model)
    if not isinstance(segmentor, MultimodalSegmentor):
        raise ValueError(
            f'Several checkpoints are for models that segment, but this is a {type(segmentor).__name__}: '
            'give one.'
        )
    members, first = [], None
    for path in checkpoints:
        loaded = read_checkpoint(path, trust=trust)
        classes = (loaded.get('meta') or {}).get('dataset_meta', {}).get('classes')
        first = first or classes
        if classes and list(classes) != list(first):
            raise CheckpointError(
                f"'{path}' has the classes {list(classes)}, but '{checkpoints[0]}' has {list(first)}: an "
                'ensemble is of one data set.'
            )
        load_weights(model, loaded, str(path))
        members.append({name: value.cpu().clone() for name, value in segmentor.state_dict().items()})
    segmentor.members = members
