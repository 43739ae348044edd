"""How far the trainings of a benchmark are, beside its progress bar."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from .results import LOG
from .training import Training

TAIL = 16384  # bytes of a log; lines are shorter
# A line of MMEngine's LoggerHook, such as 'Epoch(train) [3][20/40]', 'Iter(train) [200/4000]' or
# 'Epoch(test) [10/24]', without the values that follow.
STEP = re.compile(r'(?:Epoch|Iter)\((?:train|val|test)\)(?: *\[[\d /]+\])+')


class Progress:
    """Shows beside a bar which step each running training has logged last.

    Args:
        bar: Of the trainings that are done.
        work_dir: Where the trainings' folders are.
        interval: Seconds between two looks. Default: 1 on a terminal, 60 in a log file.
    """

    def __init__(self, bar: tqdm, work_dir: Path, interval: float | None = None) -> None:
        self._bar, self._work_dir = bar, work_dir
        self._interval = (1.0 if sys.stderr.isatty() else 60.0) if interval is None else interval
        self._next = time.monotonic() + self._interval
        self._shown = ''

    def show(self, running: Iterable[Training]) -> None:
        """Look at their logs, if it is time to."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._interval
        steps = [(run, newest_step(self._work_dir / run.folder / LOG)) for run in running]
        text = '; '.join(f'{run}: {step}' for run, step in steps if step is not None)
        if text != self._shown:
            self._shown = text
            self._bar.set_postfix_str(text)


def newest_step(log: Path) -> str | None:
    """Return the last step that a training logged, such as ``'Epoch(train) [3][20/40]'``.

    Args:
        log: Its file.

    Returns:
        None if there is no such file, or no step in its last lines.
    """
    try:
        with log.open('rb') as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            tail = file.read().decode(errors='replace')
    except FileNotFoundError:  # it is only just starting
        return None
    found = STEP.findall(tail)
    return ' '.join(found[-1].split()) if found else None
