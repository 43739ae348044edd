"""Processes that start others."""

import multiprocessing
import os
import threading
from pathlib import Path


def end_with_parent() -> None:
    """End this process of :mod:`multiprocessing` when the one that started it does, however that ends."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def redirect_output(path: Path) -> None:
    """Send all that this process prints from now on, also from C, to a file."""
    with path.open('w', encoding='utf-8') as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
