"""Optimizer wrappers for guided models whose guides have an optimizer of their own."""

from __future__ import annotations

import logging

import torch
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from mmcggm.guided.checkpoints import GUIDES, INNER
from mmcggm.guided.guided_model import GuidedModel
from mmcggm.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmcggm.utils.spelling import did_you_mean

from .balanced_type import balanced_type


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GuidedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Builds ``optimizer`` on the inner model and ``guide_optimizer`` on the guides.

    In place of MMEngine's ``OptimWrapper`` and ``AmpOptimWrapper`` it builds the one that balances, so that a
    config may leave ``type`` as its base or ``--amp`` has it.

    ``paramwise_cfg`` names parameters as the inner model does. Without ``guide_optimizer`` one
    optimizer trains the guides as well; they are named ``guides.{modality}...``, and a key of
    ``custom_keys`` means them only if it begins so. Where the balancer needs it, the optimizer's groups are
    split by encoder and hold its index as ``modality``.

    ``optim_wrapper`` takes two more settings: ``inner_constructor``, the type of another library's
    constructor, such as one with a rate for each layer, that groups the inner model's parameters; and
    ``strict_keys``, whether a key of ``custom_keys`` that matches no parameter is an error (default) or a
    warning, as is right for keys of another library's config.

    Raises:
        TypeError: If the model has no guides, or the optimizer wrapper or ``inner_constructor`` is of a type
            that can't be balanced.
        ValueError: If a key of ``custom_keys`` matches no parameter.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        guided = model.module if is_model_wrapper(model) else model
        if not isinstance(guided, GuidedModel):
            raise TypeError(
                f'GuidedOptimWrapperConstructor needs a GuidedModel, `model` is a {type(guided).__name__}.'
            )
        settings = self.optim_wrapper_cfg
        settings['type'] = balanced_type(settings)
        guide_cfg = settings.pop('guide_optimizer', None)
        self._strict = settings.pop('strict_keys', True)
        self.paramwise_cfg: dict = self.paramwise_cfg or {}
        self._inner = self._build_inner(settings.pop('inner_constructor', None))
        self._guided = guided
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
        if module is self._guided.model and self._inner is not None:
            self._inner.add_params(params, module)
            return
        if not isinstance(module, GuidedModel):
            super().add_params(params, module, prefix, is_dcn_module)
            return
        self.add_params(params, module.model)
        settings = self.paramwise_cfg
        self.paramwise_cfg = {**settings, 'custom_keys': self._custom_keys(of_guides=True)}
        super().add_params(params, module.guides, GUIDES.removesuffix('.'))
        self.paramwise_cfg = settings

    def _build_inner(self, kind: str | type | None) -> DefaultOptimWrapperConstructor | None:
        """Build the constructor that groups the inner model's parameters, if it is not this one.

        Raises:
            TypeError: If it does more than to group parameters.
        """
        if kind is None:
            return None
        settings: dict = dict(self.optim_wrapper_cfg, optimizer=self.optimizer_cfg)
        inner = OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(type=kind, optim_wrapper_cfg=settings, paramwise_cfg=self.paramwise_cfg)
        )
        default = DefaultOptimWrapperConstructor
        if not isinstance(inner, default) or type(inner).__call__ is not default.__call__:
            raise TypeError(
                f'`optim_wrapper.constructor` of the inherited config is {type(inner).__name__}, which does '
                'more than to group parameters, so it is not known how to build what balances with it. Set '
                "`optim_wrapper.constructor='mmcggm.GuidedOptimWrapperConstructor'`, and `paramwise_cfg` as "
                'that of MMEngine takes it.'
            )
        return inner

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
                message = (
                    f"`optim_wrapper.paramwise_cfg.custom_keys`: {owner}'{key}' matches no parameter of the "
                    'optimizer, so it would do nothing. Parameters are named as in `model.model`'
                    f'{", guides `guides.{modality}...`" if has_guides else ""}.'
                    f'{did_you_mean(key.removeprefix(INNER), prefixes)}'
                )
                if self._strict or key.startswith(INNER):
                    raise ValueError(message)
                print_log(message, 'current', logging.WARNING)


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
