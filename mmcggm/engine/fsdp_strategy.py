"""Training with sharded parameters (PyTorch's FSDP2)."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import torch.distributed as dist
from mmengine._strategy import DDPStrategy
from mmengine._strategy.single_device import SingleDeviceStrategy
from mmengine.device import get_device
from mmengine.dist import is_main_process
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from mmcggm.guided.guided_model import GuidedModel
from mmcggm.guided.weights import load_weights, weights_for
from mmcggm.registry import STRATEGIES

from .checkpoint_files import writing_checkpoint
from .training_state import check_parameter_order, check_training_state


@STRATEGIES.register_module()
class FSDP2Strategy(DDPStrategy):
    """Shards a guided model's parameters, gradients and optimizer states over the processes.

    Each module that is named as a modality's encoder is a unit of its own, gathered while it runs; the
    fusion, the head and the guides are one more, which stays gathered between forward and backward, as
    the direction term needs the head's weight. Checkpoints are those of a training in one process and go
    on in any number.

    Needs ``runner_type='FlexibleRunner'``. MMEngine's ``EMAHook`` does not work on sharded parameters,
    and the loss scaler of fp16 is not tested with them: use bfloat16.

    Args:
        strict_load: Whether all weights of a checkpoint must fit the model. (In a config of this strategy it
            stands here.)
        **kwargs: Of MMEngine's ``DDPStrategy``; ``model_wrapper`` is not used.

    Example:
        >>> runner_type = 'FlexibleRunner'
        >>> strategy = dict(type='mmcggm.FSDP2Strategy')
    """

    def __init__(self, *, strict_load: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.strict_load = strict_load

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        """Shard the model in place.

        Raises:
            TypeError: If the model is not a :class:`GuidedModel`.
        """
        if not isinstance(model, GuidedModel):
            raise TypeError(f'FSDP2Strategy shards a GuidedModel, but `model` is a {type(model).__name__}.')
        device = get_device()
        guided = cast(GuidedModel, self.convert_model(model.to(device)))
        mesh = init_device_mesh(device, (dist.get_world_size(),))
        paths = {path for encoder in guided.encoders for path in encoder.modules}
        for path in sorted(paths, key=lambda path: path.count('.'), reverse=True):  # inner ones first
            module = guided.model.get_submodule(path)
            if not isinstance(module, (nn.ModuleList, nn.ModuleDict)):  # which are never called
                fully_shard(module, mesh=mesh)
        return cast(nn.Module, fully_shard(guided, mesh=mesh))

    def save_checkpoint(self, filename: str, **kwargs: Any) -> None:
        # Every process takes part in gathering; the main one writes.
        with writing_checkpoint(filename) if is_main_process() else nullcontext(os.devnull) as target:
            SingleDeviceStrategy.save_checkpoint(self, str(target), **kwargs)

    def model_state_dict(self) -> dict[str, Any]:
        """Return whole tensors on the main process, nothing on the others."""
        return get_model_state_dict(self.model, options=_FULL_ON_CPU)

    def resume(self, filename: str, *, callback: Callable | None = None, **kwargs: Any) -> dict[str, Any]:
        def check(checkpoint: dict[str, Any]) -> None:
            check_training_state(checkpoint, filename)
            state = weights_for(self.model, checkpoint, filename)
            check_parameter_order(self.model, state, filename)
            if callback is not None:
                callback(checkpoint)

        return super().resume(filename, callback=check, **kwargs)

    def load_model_state_dict(self, state_dict: dict[str, Any], **_: Any) -> None:
        """Load weights, all of which must fit unless ``strict_load`` is False.

        Raises:
            CheckpointError: If they do not.
        """
        load_weights(self.model, state_dict, 'The checkpoint', self.strict_load, load=_load_whole)

    def optim_state_dict(self) -> dict[str, Any]:
        """Return whole tensors on the main process, nothing in their place on the others."""
        return tree_map(_whole, super().optim_state_dict())

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        wrapper = self.optim_wrapper
        state_dict = _sharded(state_dict, wrapper.optimizer)
        if 'guide_optimizer' in state_dict:
            state_dict['guide_optimizer'] = _sharded(state_dict['guide_optimizer'], wrapper.guide_optimizer)
        super().load_optim_state_dict(state_dict)


def _load_whole(model: nn.Module, state: dict[str, Any], strict: bool) -> Any:
    """Load whole tensors into a sharded model, as ``nn.Module.load_state_dict`` does into another."""
    options = StateDictOptions(full_state_dict=True, strict=strict)
    return set_model_state_dict(model, state, options=options)


_FULL_ON_CPU = StateDictOptions(full_state_dict=True, cpu_offload=True)


def _whole(value: Any) -> Any:
    """Return a sharded tensor gathered on the main process; it takes every process to do so."""
    if not isinstance(value, DTensor):
        return value
    whole = value.full_tensor()
    return whole.cpu() if is_main_process() else None


def _sharded(state_dict: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's state with tensors of a parameter's shape sharded as the parameter is."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]

    def shard(value: Any, parameter: DTensor) -> Any:
        if not (isinstance(value, Tensor) and value.shape == parameter.shape):
            return value
        return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)

    state = {
        index: {name: shard(value, parameters[index]) for name, value in entry.items()}
        for index, entry in state_dict['state'].items()
    }
    return {**state_dict, 'state': state}
