"""Checkpoints, read as data; importing this makes MMEngine read them so, too."""

from .reading import CheckpointError, check_archive, read_checkpoint, read_data, weights_of
from .schemes import checkpoints_are_trusted, trust_checkpoints

__all__ = [
    'CheckpointError',
    'check_archive',
    'checkpoints_are_trusted',
    'read_checkpoint',
    'read_data',
    'trust_checkpoints',
    'weights_of',
]
