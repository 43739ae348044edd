"""Optimizer wrappers for guided models whose guides have an optimizer of their own."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from mmcggm.models.guided import GuidedModel
from mmcggm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GuidedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Builds ``optimizer`` on the inner model and ``guide_optimizer`` on the guides.

    ``paramwise_cfg`` names parameters as the inner model does. Without ``guide_optimizer`` one
    optimizer trains all, as MMEngine's default constructor has it.

    Raises:
        TypeError: If ``guide_optimizer`` is given and the model has no guides.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        guide_cfg = self.optim_wrapper_cfg.pop('guide_optimizer', None)
        if guide_cfg is None:
            return super().__call__(model)
        inner = model.module if is_model_wrapper(model) else model
        if not isinstance(inner, GuidedModel):
            raise TypeError(
                f'`optim_wrapper.guide_optimizer` needs a GuidedModel; `model` is a {type(inner).__name__}.'
            )
        wrapper = super().__call__(inner.model)
        wrapper.guide_optimizer = OPTIMIZERS.build({**guide_cfg, 'params': inner.guides.parameters()})
        return wrapper
