"""The task and the target of a loop of one's own, from what the user says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmcggm.guided import FunctionTask, Task
from mmcggm.guided.tasks import find_target
from mmcggm.registry import TASKS
from mmcggm.utils.spelling import did_you_mean

TARGET = 'target'  # where a pass of a loop has the target
Target = str | int | Callable[[Any], Any]

NAMES: dict[str, dict[str, Any]] = {
    'classification': dict(type='ClassificationTask', target=TARGET),
    'multilabel': dict(type='MultiLabelTask', target=TARGET),
    'ordinal': dict(type='OrdinalTask', target=TARGET),
    'regression': dict(type='RegressionTask', target=TARGET, score='negative_loss'),
    'segmentation': dict(type='ClassificationTask', target=TARGET, score='dice'),
}


def task_of(task: str | dict | Task | tuple[Callable, Callable]) -> Task:
    """Return the task that ``task`` of :func:`~mmcggm.balance` means.

    Raises:
        ValueError: If it means none.
    """
    if isinstance(task, Task):
        return task
    if isinstance(task, str) and task in NAMES:
        return TASKS.build(NAMES[task])
    if isinstance(task, dict) or (isinstance(task, str) and TASKS.get(task) is not None):
        return TASKS.build(task)
    if isinstance(task, tuple) and len(task) == 2 and all(callable(part) for part in task):
        return FunctionTask(*task, target=TARGET)
    raise ValueError(
        f'`task` must be one of {list(NAMES)}, a Task, its config or registered name, or two functions of '
        f'prediction and target (loss and score), got {task!r}.'
        f'{did_you_mean(task, [*NAMES, *TASKS.module_dict]) if isinstance(task, str) else ""}'
    )


def find_in(value: Any, target: Target) -> Any:
    """Return the target in ``value``: what a function makes of it, or what is at an index or path."""
    if callable(target):
        return target(value)
    return value[target] if isinstance(target, int) else find_target(value, target)
