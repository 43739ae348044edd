"""The runner of trainings and tests."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from mmengine.model import BaseTTAModel
from mmengine.runner import BaseLoop, CheckpointLoader, Runner

from mmcggm.guided.weights import WRAPPER, load_weights, weights_for
from mmcggm.registry import RUNNERS
from mmcggm.utils.checkpoints import CheckpointError

from .optim_wrapper import unwrapped
from .training_state import check_training_state


@RUNNERS.register_module()
class BalancedRunner(Runner):
    """MMEngine's ``Runner``, to which a checkpoint is data, and whose weights must fit.

    Nothing in a checkpoint is run, and weights that are missing or left over are an error. A training from
    ``load_from`` whose config has ``strict_load = False`` takes those that fit.
    """

    _is_resuming = False

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool | None = None,
        revise_keys: Collection = (WRAPPER,),
    ) -> dict[str, Any]:
        """Load weights, and what hooks take from a checkpoint.

        Args:
            filename: The file, or a name that MMEngine knows, such as ``torchvision://resnet50``.
            map_location: As of ``torch.load``.
            strict: Whether all weights must fit the model. Default: yes, but in a training from ``load_from``
                what ``strict_load`` in the config says.
            revise_keys: Patterns in names of weights, each with what takes its place.

        Returns:
            What the checkpoint holds.

        Raises:
            FileNotFoundError: If there is no such file.
            CheckpointError: If it is more than data, damaged, or does not fit.
        """
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location)
        if self._is_resuming:
            check_training_state(checkpoint, filename, self)
        model = unwrapped(self.model)
        model = model.module if isinstance(model, BaseTTAModel) else model
        checkpoint['state_dict'] = weights_for(model, checkpoint, filename, revise_keys)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        if strict is None:
            strict = self._is_resuming or not self._is_training or self.cfg.get('strict_load', True)
        load_weights(model, checkpoint, filename, strict)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable = 'default',
    ) -> None:
        """Go on with the training that a checkpoint is of, see MMEngine's ``Runner.resume``.

        Raises:
            FileNotFoundError: If there is no such file.
            CheckpointError: If it is more than data, damaged, or not of this training.
        """
        self._is_resuming = True
        try:
            super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
        except (CheckpointError, OSError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # entries of a wrong kind, deep in it, raise whatever they lead to
            reason = str(error) if isinstance(error, ValueError) else f'{type(error).__name__}: {error}'
            raise CheckpointError(f"'{filename}' can't be resumed from. {reason}") from error
        finally:
            self._is_resuming = False

    @property
    def _is_training(self) -> bool:
        return isinstance(self._train_loop, BaseLoop)
