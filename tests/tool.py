"""Tools, run in the process of a test."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from mmcggm.utils.run_tool import run_tool


def exit_status(main: Callable[[], int | None], status_of_errors: int = 1) -> int:
    """Return the exit status of a tool; what it prints is the test's to capture."""
    with pytest.raises(SystemExit) as ended:
        run_tool(main, status_of_errors)
    return ended.value.code or 0


def run_script(path: str | Path) -> int:
    """Return the exit status of a tool, run as a command with ``sys.argv`` as it is."""
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name='__main__')
    return ended.value.code or 0
