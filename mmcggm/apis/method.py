"""The method of a loop of one's own, from what the user says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmcggm.balancers import Balancer, build_balancer

Method = str | dict | Sequence[dict | str] | Balancer | None

# What docs/cggm.md recommends: where the settings of a method in a loop begin, by its name.
RECOMMENDED: dict[str, dict[str, Any]] = {
    'CGGM': dict(rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))
}
# What a loop does not tell a method, by the name in `Needs`.
UNTOLD = {
    'validation': 'the scores of a validation',
    'survey': 'whole data sets',
    'epochs': 'to know where epochs end',
    'reruns': 'what the model would predict from other representations',
    'teachers': 'teachers, encoders that were trained alone',
}


def completed(method: Method) -> Any:
    """Return the config of ``method`` with the settings that it leaves out, where some are recommended.

    A name and a config with this type alone mean the same. A balancer stays as it is.
    """
    if isinstance(method, (list, tuple)):
        return [completed(one) for one in method]
    config = dict(type=method) if isinstance(method, (str, type)) else method
    if not isinstance(config, Mapping):
        return Balancer() if config is None else config
    return {**RECOMMENDED.get(name_of(config), {}), **config}


def name_of(config: Mapping[str, Any]) -> str:
    """Return the name of the type of a config, without a scope."""
    kind = config.get('type')
    return kind.__name__ if isinstance(kind, type) else str(kind).rpartition('.')[-1]


def said_name(balancer: Balancer) -> str:
    """Return the name of what balances, of several all of them; ``'None'`` where guides only watch."""
    return 'None' if type(balancer) is Balancer else balancer.name


def check_method(method: Method) -> None:
    """Raise a ValueError unless ``method`` is one, with settings that it takes, and can act in a loop."""
    balancer = build_balancer(completed(method), 'method')
    untold = [what for need, what in UNTOLD.items() if getattr(balancer.needs, need)]
    if not untold:
        return
    instead = "choose another (the page 'Balancing methods' of the documentation says which a loop takes)"
    if balancer.needs.teachers:
        instead = (
            'choose one whose teachers are the guides, such as `MultiLoss`, `TeachingCGGM` or `MMPareto`'
        )
    raise ValueError(
        f'`method` is {balancer.name}, which needs {" and ".join(untold)}. A loop with `mmcggm.balance` does '
        f"not tell that: {instead}, or train through MMEngine (the page 'Balance any model' says how)."
    )
