"""What a checkpoint must hold so that a training goes on from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.runner import Runner
from torch import nn

from mmcggm.balancers.state import difference
from mmcggm.utils.checkpoints import CheckpointError

SETTING = (bool, int, float, str, tuple, list)
STATE = {'last_step', 'verbose'}  # of a schedule, though its constructor takes them
KINDS: dict[str, Any] = dict(meta=dict, message_hub=dict, optimizer=dict, param_schedulers=(list, dict))


def check_training_state(checkpoint: Mapping[str, Any], source: str, runner: Runner | None = None) -> None:
    """Raise a CheckpointError unless a checkpoint holds a training's state.

    Args:
        checkpoint: What was read.
        source: Name of the file, for the message.
        runner: Whose schedules those in the checkpoint must fit.
    """
    lacking = [name for name in KINDS if name not in checkpoint and name != 'param_schedulers']
    if lacking:
        raise CheckpointError(
            f"'{source}' has weights alone, without the training's {', '.join(lacking)}: nothing can be "
            'resumed from it. Begin a training from its weights: `load_from` in the config, not `resume`.'
        )
    wrong = next((f'`{n}`' for n, kind in KINDS.items() if not isinstance(checkpoint.get(n, {}), kind)), None)
    for name in ('epoch', 'iter'):
        if wrong is None and not _is_count(checkpoint['meta'].get(name)):
            wrong = f'`meta.{name}`'
    for name in ('log_scalars', 'runtime_info', 'resumed_keys'):
        if wrong is None and not isinstance(checkpoint['message_hub'].get(name), dict):
            wrong = f'`message_hub.{name}`'
    if wrong is None and runner is not None and 'param_schedulers' in checkpoint:
        wrong = _wrong_schedule(runner.param_schedulers, checkpoint['param_schedulers'])
    if wrong is not None:
        raise CheckpointError(
            f"'{source}' can't be resumed from: {wrong} in it is not what this training saves there. Take "
            'the config of its training, or an earlier checkpoint.'
        )


def check_parameter_order(model: nn.Module, state: Mapping[str, Any], source: str) -> None:
    """Raise a CheckpointError if the model has its parameters in another order than the weights.

    An optimizer keeps its state by the number of a parameter. In another order, one parameter would go on
    with the moments of another, in silence where both have the same shape.

    Args:
        model: Before it takes the weights.
        state: Weights by the names that they have in ``model``.
        source: Name of the file, for the message.
    """
    known = dict(model.named_parameters())
    saved = [name for name in state if name in known]
    own = [name for name in known if name in state]
    for before, now in zip(saved, own, strict=True):
        if before != now:
            raise CheckpointError(
                f"'{source}' can't be resumed from: at the place of its parameter '{before}' the model has "
                f"'{now}', so that each would get the optimizer's state of the other. Take the config that "
                'the training was begun with, with all names in its order, or begin a training from the '
                'weights: `load_from` in the config.'
            )


def kept_settings(checkpoint: Mapping[str, Any], runner: Runner) -> list[str]:
    """Return sentences on settings that the checkpoint has otherwise than the config, and that it decides.

    PyTorch and MMEngine restore the settings of optimizers and schedules with their states.
    """
    pairs: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    found = checkpoint['optimizer'].get('param_groups', [])
    for own, kept in zip(getattr(optimizer, 'param_groups', []), found, strict=False):
        names = [name for name in own if name != 'params' and not name.startswith('initial_')]
        # A schedule keeps the value that it begins with.
        ours, theirs = (
            {name: group.get(f'initial_{name}', group.get(name)) for name in names} for group in (own, kept)
        )
        pairs.append((type(optimizer).__name__, ours, theirs))
    schedules = runner.param_schedulers if isinstance(runner.param_schedulers, list) else []
    for schedule, kept in zip(schedules, checkpoint.get('param_schedulers', []), strict=False):
        taken = {name for cls in type(schedule).__mro__ for name in inspect.signature(cls).parameters}
        ours = {name: value for name, value in schedule.state_dict().items() if name in taken - STATE}
        pairs.append((type(schedule).__name__, ours, kept))
    differing = {
        f'`{name}` of {kind} is {kept[name]!r} in the checkpoint, {value!r} in the config'
        for kind, own, kept in pairs
        for name, value in own.items()
        if isinstance(value, SETTING) and isinstance(kept.get(name), SETTING) and kept[name] != value
    }
    return sorted(differing)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _wrong_schedule(own: Any, found: Any) -> str | None:
    """Return the name of the first entry that is not of the kind of the runner's own schedules."""
    if not own or isinstance(own, dict) or not all(hasattr(schedule, 'state_dict') for schedule in own):
        return None
    return difference([schedule.state_dict() for schedule in own], found, 'param_schedulers')
