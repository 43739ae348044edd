"""Optimizer wrappers for guided models whose guides have an optimizer of their own."""

from __future__ import annotations

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from mmcggm.guided.checkpoints import GUIDES, INNER
from mmcggm.guided.guided_model import GuidedModel
from mmcggm.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmcggm.utils.spelling import did_you_mean


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GuidedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Builds ``optimizer`` on the inner model and ``guide_optimizer`` on the guides.

    ``paramwise_cfg`` names parameters as the inner model does. Without ``guide_optimizer`` one
    optimizer trains the guides as well; they are named ``guides.{modality}...``, and a key of
    ``custom_keys`` means them only if it begins so. Where the balancer needs it, the optimizer's groups are
    split by encoder and hold its index as ``modality``.

    Raises:
        TypeError: If the model has no guides.
        ValueError: If a key of ``custom_keys`` matches no parameter.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        guided = model.module if is_model_wrapper(model) else model
        if not isinstance(guided, GuidedModel):
            raise TypeError(
                f'GuidedOptimWrapperConstructor needs a GuidedModel, `model` is a {type(guided).__name__}.'
            )
        guide_cfg = self.optim_wrapper_cfg.pop('guide_optimizer', None)
        self.paramwise_cfg: dict = self.paramwise_cfg or {}
        self._check_custom_keys(guided, has_guides=guide_cfg is None)
        wrapper = super().__call__(guided if guide_cfg is None else guided.model)
        if wrapper.balancer is not None and wrapper.balancer.needs.rates:
            _group_by_modality(wrapper, guided.encoder_parameters())
        if guide_cfg is not None:
            wrapper.guide_optimizer = OPTIMIZERS.build({**guide_cfg, 'params': guided.guides.parameters()})
        return wrapper

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module: bool | None = None
    ) -> None:
        if not isinstance(module, GuidedModel):
            super().add_params(params, module, prefix, is_dcn_module)
            return
        super().add_params(params, module.model)
        settings = self.paramwise_cfg
        self.paramwise_cfg = {**settings, 'custom_keys': self._custom_keys(of_guides=True)}
        super().add_params(params, module.guides, GUIDES.removesuffix('.'))
        self.paramwise_cfg = settings

    def _custom_keys(self, of_guides: bool) -> dict[str, dict]:
        keys = self.paramwise_cfg.get('custom_keys', {})
        return {key: value for key, value in keys.items() if key.startswith(GUIDES) == of_guides}

    def _check_custom_keys(self, guided: GuidedModel, has_guides: bool) -> None:
        """Raise a ValueError unless each key of ``custom_keys`` matches a parameter."""
        inner = [name for name, _ in guided.model.named_parameters()]
        guides = [GUIDES + name for name, _ in guided.guides.named_parameters()] if has_guides else []
        for names, of_guides in ((inner, False), (guides, True)):
            for key in self._custom_keys(of_guides):
                if any(key in f'.{name}' for name in names):
                    continue
                prefixes = {'.'.join(name.split('.')[:n]) for name in inner + guides for n in range(1, 6)}
                owner = '`guide_optimizer` trains the guides, and ' if of_guides and not has_guides else ''
                raise ValueError(
                    f"`optim_wrapper.paramwise_cfg.custom_keys`: {owner}'{key}' matches no parameter of the "
                    'optimizer, so it would do nothing. Parameters are named as in `model.model`'
                    f'{", guides `guides.{modality}...`" if has_guides else ""}.'
                    f'{did_you_mean(key.removeprefix(INNER), prefixes)}'
                )


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
