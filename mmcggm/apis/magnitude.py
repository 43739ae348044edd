"""What a method scales, as it suits the optimizer and the model's head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch.optim import Optimizer

from mmcggm.balancers import Balancer

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
        given = _shown(config)
        print_log(f'{name} balances with {f"{given}, and else " if given else ""}its defaults.', 'current')
        return config
    if 'magnitude' not in config:
        config['magnitude'] = 'update' if _normalises(optimizer) else 'gradient'
    if 'direction' not in config and not has_head:
        config['direction'] = 'none'
    print_log(
        f'{name} balances with {_shown(config)}. '
        "What `method` leaves out is as recommended, and the encoder's "
        f'{config["magnitude"]} is scaled with {type(optimizer).__name__} unless `magnitude` says otherwise; '
        'the settings of the paper are those of the class, `method=mmcggm.balancers.CGGM()`.',
        'current',
    )
    return config


def _shown(config: Mapping[str, Any]) -> str:
    return ', '.join(f'{key}={value!r}' for key, value in config.items() if key != 'type')


def _normalises(optimizer: Optimizer) -> bool:
    names = ' '.join(kind.__name__.lower() for kind in type(optimizer).__mro__)
    return any(part in names for part in NORMALISING)
