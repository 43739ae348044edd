"""Tools, run in the process of a test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmcggm.utils.run_tool import run_tool


def exit_status(main: Callable[[], int | None], status_of_errors: int = 1) -> int:
    """Return the exit status of a tool; what it prints is the test's to capture."""
    with pytest.raises(SystemExit) as ended:
        run_tool(main, status_of_errors)
    return ended.value.code or 0
