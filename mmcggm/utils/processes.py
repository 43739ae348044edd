"""Processes that start others."""

import os
import sys
import threading


def end_with_standard_input() -> None:
    """End this process when its standard input does, so that it does not outlive who holds the other end.

    A pipe to a process is closed however the process ends that opened it.
    """

    descriptor = sys.stdin.fileno()

    def watch() -> None:
        while os.read(descriptor, 1024):  # unlike sys.stdin, holds no lock when Python shuts down
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
