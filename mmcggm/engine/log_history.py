"""What MMEngine's message hub remembers, as data.

MMEngine puts objects into its checkpoints, with functions to call: to read them is to trust them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def as_data(hub: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a message hub without objects: numbers, strings, lists, dicts and tensors."""
    scalars = {name: _history_as_data(history) for name, history in hub['log_scalars'].items()}
    info = {name: _number(value) for name, value in hub['runtime_info'].items()}
    return {**hub, 'log_scalars': scalars, 'runtime_info': info}


def from_data(hub: dict[str, Any]) -> dict[str, Any]:
    """Return the state of which :func:`as_data` returned the data; MMEngine's own stays as it is."""
    scalars = {
        name: HistoryBuffer(
            history['values'].cpu().numpy(), history['counts'].cpu().numpy(), history['length']
        )
        if isinstance(history, dict)
        else history
        for name, history in hub['log_scalars'].items()
    }
    return {**hub, 'log_scalars': scalars}


def _history_as_data(history: HistoryBuffer) -> dict[str, Any]:
    values, counts = (torch.from_numpy(np.asarray(part)) for part in history.data)
    return dict(values=values, counts=counts, length=history.max_length)


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
