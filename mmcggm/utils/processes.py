"""Processes: how they wait, end and print, and whether they are."""

import hashlib
import multiprocessing
import os
import platform
import threading
import time
from pathlib import Path


def wait_passively() -> None:
    """Let threads that wait for each other sleep; call it before torch is first imported.

    OpenMP's threads spin by default, which takes the cores from other processes and so from the threads that
    are waited for. Beside a GPU the CPU's threads have little to do, so it does no harm there.
    ``OMP_WAIT_POLICY`` of the environment has precedence.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')


def end_with_parent() -> None:
    """End this process of :mod:`multiprocessing` when the one that started it does, however that ends."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end_with(process: int, interval: float = 1.0) -> None:
    """End this process when there is no longer one of that number on this machine.

    Args:
        process: Its number.
        interval: Seconds between looks.
    """

    def watch() -> None:
        while is_alive(process):
            time.sleep(interval)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def redirect_output(path: Path, append: bool = False) -> None:
    """Send all that this process prints from now on, also from C, to a file, or to the end of it."""
    with path.open('a' if append else 'w', encoding='utf-8') as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)


def place() -> str:
    """Return what names this machine, or this container on it, where processes' numbers are its own."""
    namespace = Path('/proc/self/ns/pid')
    numbers = os.readlink(namespace) if namespace.is_symlink() else ''
    return hashlib.sha256(f'{platform.node()} {numbers}'.encode()).hexdigest()[:8]


def is_alive(process: int) -> bool:
    """Return whether there is a process of this number in this :func:`place`."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
