"""What a method scales, as it suits the optimizer and the model's head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from torch.optim import Optimizer

from mmcggm.balancers import Balancer

Method = str | dict | Sequence[dict | str] | Balancer

# What docs/cggm.md recommends, for who names the method alone.
RECOMMENDED = {'CGGM': dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))}
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
    """Return the config of ``method``, with what it leaves open set as it suits.

    Args:
        method: What the user said.
        optimizer: Where it is one like Adam, the encoder's update is scaled, else the gradient.
        has_head: Whether gradients at the head can be compared; without, there is no direction term.
    """
    if isinstance(method, (list, tuple)):
        return [suited(one, optimizer, has_head) for one in method]
    config = RECOMMENDED.get(method, dict(type=method)) if isinstance(method, str) else method
    if not isinstance(config, dict) or config.get('type') not in SCALING:
        return config
    chosen: dict[str, Any] = {}
    if 'magnitude' not in config:
        chosen['magnitude'] = 'update' if _normalises(optimizer) else 'gradient'
        print_log(
            f"{config['type']} scales each encoder's {chosen['magnitude']}, which suits "
            f"{type(optimizer).__name__}; `method=dict(type=…, magnitude='gradient' or 'update')` sets "
            'another.',
            'current',
        )
    if 'direction' not in config and not has_head:
        chosen['direction'] = 'none'
        print_log(f'{config["type"]} has no direction term, since there is no `head`.', 'current')
    return {**config, **chosen}


def _normalises(optimizer: Optimizer) -> bool:
    names = ' '.join(kind.__name__.lower() for kind in type(optimizer).__mro__)
    return any(part in names for part in NORMALISING)
