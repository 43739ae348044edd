"""Several processes in a test."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import torch.multiprocessing as mp

# What takes seconds to import. A server does it once for all tests; each process is a fork of it.
PRELOADED = ['tests.tiny', 'mmcggm.engine', 'mmcggm.evaluation']


def run_processes(worker: Callable[..., None], *args: Any, count: int = 2) -> None:
    """Run ``worker(rank, *args)`` in each of ``count`` new processes, and raise what one of them raises.

    They end without destroying their process groups, in which gloo of PyTorch 2.6 may wait for ever.
    """
    multiprocessing.set_forkserver_preload(PRELOADED)
    mp.start_processes(worker, args=args, nprocs=count, start_method='forkserver')
