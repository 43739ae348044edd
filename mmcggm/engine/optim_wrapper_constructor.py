"""Optimizer wrappers for guided models whose guides have an optimizer of their own."""

from __future__ import annotations

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from mmcggm.guided.guided_model import GuidedModel
from mmcggm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GuidedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Builds ``optimizer`` on the inner model and ``guide_optimizer`` on the guides.

    ``paramwise_cfg`` names parameters as the inner model does. Without ``guide_optimizer`` one
    optimizer trains the guides as well. Where the balancer needs it, the optimizer's groups are split
    by encoder and hold its index as ``modality``.

    Raises:
        TypeError: If the model has no guides.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        guided = model.module if is_model_wrapper(model) else model
        if not isinstance(guided, GuidedModel):
            raise TypeError(
                f'GuidedOptimWrapperConstructor needs a GuidedModel, `model` is a {type(guided).__name__}.'
            )
        guide_cfg = self.optim_wrapper_cfg.pop('guide_optimizer', None)
        wrapper = super().__call__(guided if guide_cfg is None else guided.model)
        if wrapper.balancer is not None and wrapper.balancer.needs_groups:
            _group_by_modality(wrapper, guided.encoder_parameters())
        if guide_cfg is not None:
            wrapper.guide_optimizer = OPTIMIZERS.build({**guide_cfg, 'params': guided.guides.parameters()})
        return wrapper


def _group_by_modality(wrapper: OptimWrapper, encoders: list[list[nn.Parameter]]) -> None:
    """Split the optimizer's groups so that each holds parameters of one encoder, or of none."""
    owner = {parameter: index for index, parameters in enumerate(encoders) for parameter in parameters}
    groups = []
    for group in wrapper.optimizer.param_groups:
        parts: dict[int | None, list[nn.Parameter]] = {}
        for parameter in group['params']:
            parts.setdefault(owner.get(parameter), []).append(parameter)
        groups += [{**group, 'params': parameters, 'modality': index} for index, parameters in parts.items()]
    wrapper.optimizer.param_groups[:] = groups
    if wrapper.base_param_settings is None:
        # As OptimWrapper does for several groups: schedules keep the base rate for the log.
        wrapper.base_param_settings = {'params': torch.tensor([0.0]), **wrapper.optimizer.defaults}
