"""Warnings that are as often as their writer means them."""

from __future__ import annotations

from logging import WARNING

from mmengine.logging import MMLogger, print_log
from mmengine.logging.logger import FilterDuplicateWarning


def warn(message: str) -> None:
    """Log a warning, also one that this process has logged before, such as of a model trained earlier.

    MMEngine's loggers leave a warning out whose text they have had.
    """
    for handler in MMLogger.get_current_instance().handlers:
        for one in handler.filters:
            if isinstance(one, FilterDuplicateWarning):
                one.seen.discard(message)
    print_log(message, 'current', WARNING)
