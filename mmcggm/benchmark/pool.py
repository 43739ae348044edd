"""Runs the trainings of a benchmark, each in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from .grid import Run
from .results import CONFIG, LOG, read_result


def run_all(runs: Sequence[Run], work_dir: Path, jobs: int = 1) -> dict[Run, str]:
    """Run what has no result yet; one that was stopped midway starts from its beginning.

    So a result does not depend on interruptions, and a run whose config changed is repeated. Each
    process uses one thread for computation. One call at a time may write to ``work_dir``.

    Args:
        runs: Of a :class:`Benchmark`.
        work_dir: Where the runs' folders are.
        jobs: Number of processes.

    Returns:
        Why runs failed, for those that did. The others are run nevertheless.
    """
    pending = [run for run in runs if read_result(work_dir / run.folder, run.fingerprint) is None]
    failed: dict[Run, str] = {}
    interval = 0.1 if sys.stderr.isatty() else 10  # a log file would not want ten lines a second
    progress = tqdm(
        total=len(runs), initial=len(runs) - len(pending), desc='Runs', unit='run', mininterval=interval
    )
    with progress, ThreadPoolExecutor(jobs) as pool:
        started: set[subprocess.Popen] = set()
        futures = {pool.submit(_run, run, work_dir / run.folder, started): run for run in pending}
        try:
            for future in as_completed(futures):
                reason = future.result()
                if reason is not None:
                    failed[futures[future]] = reason
                    tqdm.write(f'FAILED {futures[future]}: {reason}', file=sys.stderr)
                progress.update()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(started):
                process.kill()
    return failed


def _run(run: Run, folder: Path, started: set[subprocess.Popen]) -> str | None:
    """Do a run; return why it failed, or None."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    run.cfg.dump(folder / CONFIG)
    command = [sys.executable, '-m', 'mmcggm.benchmark.run', folder, run.fingerprint, run.checkpoint]
    threads = dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'), '1')
    with (folder / LOG).open('w', encoding='utf-8') as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,  # open as long as this process lives
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **threads},
        )
        started.add(process)
        process.wait()
        started.discard(process)
        process.stdin.close()
    if read_result(folder, run.fingerprint) is not None:
        return None
    last = (folder / LOG).read_text(encoding='utf-8', errors='replace').strip().splitlines()[-1:]
    return f'{last[0] if last else f"exit code {process.returncode}"} (see {folder / LOG})'
