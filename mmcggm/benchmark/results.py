"""The result of a run: a file that is there once the run is finished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmcggm.utils.atomic import replacing

# Files in the folder of a run.
CONFIG, LOG, FILE = 'config.py', 'log.txt', 'result.json'
BEGUN = 'begun.txt'  # the fingerprint of what was begun in it
COST_LOG, COST_FILE = 'cost_log.txt', 'cost.json'


def write_result(folder: Path, fingerprint: str, **content: Any) -> None:
    """Write a run's result.

    Args:
        folder: Of the run.
        fingerprint: Of its config.
        **content: ``metrics`` of the test, ``validation`` (the best value, its ``metric`` and ``rule``) and
            what else is worth knowing, such as seconds.
    """
    with replacing(folder / FILE) as temporary:
        text = json.dumps(dict(fingerprint=fingerprint, **content), indent=2)
        temporary.write_text(text + '\n', encoding='utf-8')


def read_result(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return a run's result, or None if there is none or it is that of another config.

    Raises:
        ValueError: If the file isn't what :func:`write_result` wrote.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text(encoding='utf-8'))
        return result if result['fingerprint'] == fingerprint else None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not a result ({error}): delete it, and the run is repeated.') from error
