"""What a checkpoint must hold so that a training goes on from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.runner import Runner

from mmcggm.balancers.state import difference
from mmcggm.utils.checkpoints import CheckpointError

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


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _wrong_schedule(own: Any, found: Any) -> str | None:
    """Return the name of the first entry that is not of the kind of the runner's own schedules."""
    if not own or isinstance(own, dict) or not all(hasattr(schedule, 'state_dict') for schedule in own):
        return None
    return difference([schedule.state_dict() for schedule in own], found, 'param_schedulers')
