"""Scalars that the log shows as they were measured."""

from __future__ import annotations

import re

from mmengine.runner import Runner


def log_as_measured(runner: Runner, prefix: str) -> None:
    """Keep MMEngine's log from averaging scalars whose names begin with ``prefix``.

    Its log processor shows the mean over a window of whatever has ``loss`` or ``time`` in its name, which may
    be a modality called ``time_series``.
    """
    processor = runner.log_processor
    pattern = getattr(processor.mean_pattern, 'pattern', processor.mean_pattern)
    excluded = f'^(?!(train/)?{re.escape(prefix)})'
    if excluded not in pattern:
        processor.mean_pattern = re.compile(f'{excluded}{pattern.removeprefix("^")}')
