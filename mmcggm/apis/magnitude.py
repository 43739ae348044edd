"""What a method scales, as it suits the optimizer and the model's head."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch.optim import Optimizer

from mmcggm.balancers import Balancer, build_balancer

from .method import Method, completed, name_of

SCALING = ('CGGM', 'TeachingCGGM')  # methods that scale the gradient or the update, and have a direction
# Parts of the names of optimizers that divide a gradient by its own running size or norm, which undoes a
# scale that lasts: Adam, AdamW, Adagrad, Adafactor, RMSprop, …
NORMALISING = (
    'ada',
    'rms',
    'rprop',
    'lion',
    'lamb',
    'lars',
    'muon',
    'prodigy',
    'soap',
    'shampoo',
    'yogi',
    'sophia',
    'novograd',
)


def suited(method: Method, optimizer: Optimizer, has_head: bool) -> Any:
    """Return the config of ``method``, with what it leaves open as recommended and as it suits, and log it.

    Args:
        method: What the user said.
        optimizer: Where it is one like Adam, the encoder's update is scaled, else the gradient.
        has_head: Whether gradients at the head can be compared; without, there is no direction term.
    """
    config = completed(method)
    if isinstance(config, list):
        return [suited(one, optimizer, has_head) for one in config]
    name = type(config).__name__ if isinstance(config, Balancer) else name_of(config)
    if isinstance(config, Balancer):
        if type(config) is not Balancer:  # which only watches
            print_log(f'{name} has the settings of the object that `method` is.', 'current')
        return config
    if name not in SCALING:
        print_log(f'{name} balances with {_shown(config)}.', 'current')
        return config
    if 'magnitude' not in config:
        config['magnitude'] = 'update' if _normalises(optimizer) else 'gradient'
    if 'direction' not in config and not has_head:
        config['direction'] = 'none'
    paper = '; the settings of the paper are those of the class, `method=mmcggm.balancers.CGGM()`'
    print_log(
        f'{name} balances with {_shown(config)}. '
        "What `method` leaves out is as recommended, and the encoder's "
        f'{config["magnitude"]} is scaled with {type(optimizer).__name__} unless `magnitude` says otherwise'
        f'{paper if name == "CGGM" else ""}.',
        'current',
    )
    return config


def _shown(config: Mapping[str, Any]) -> str:
    """Return all settings that hold: what ``config`` says, and the defaults of what it leaves out."""
    parameters: dict[str, inspect.Parameter] = {}
    for kind in type(build_balancer(config, 'method')).__mro__:  # its own arguments, then what it passes on
        if '__init__' in vars(kind):
            own = inspect.signature(vars(kind)['__init__']).parameters
            parameters |= {n: p for n, p in own.items() if n not in parameters}
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
                break
    defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    settings = {**defaults, **{key: value for key, value in config.items() if key != 'type'}}
    return ', '.join(f'{key}={value!r}' for key, value in settings.items()) or 'no settings'


def _normalises(optimizer: Optimizer) -> bool:
    names = ' '.join(kind.__name__.lower() for kind in type(optimizer).__mro__)
    return any(part in names for part in NORMALISING)
