"""Checkpoints, read as data; importing this makes MMEngine read them so, too."""

from .reading import CheckpointError, peek, read_checkpoint, weights_of
from .schemes import trust_checkpoints

__all__ = ['CheckpointError', 'peek', 'read_checkpoint', 'trust_checkpoints', 'weights_of']
