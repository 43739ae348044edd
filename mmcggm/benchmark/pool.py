"""Runs the trainings of a benchmark, each once, whoever else works on the same folder."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from mmcggm.utils.atomic import replacing

from .claims import Claims
from .data import DataFiles, changed_data, write_data
from .engines import Engine, LocalEngine
from .progress import Progress
from .results import BEGUN, CONFIG, FILE, LOG, read_result
from .training import Training

POLL = 1.0  # seconds between looks at what other processes do
T = TypeVar('T', bound=Training)


def run_all(
    runs: Sequence[T],
    work_dir: Path,
    jobs: int = 1,
    name: str = 'Runs',
    files: DataFiles | None = None,
    engine: Engine | None = None,
) -> dict[T, str]:
    """Run what has no result yet; one that was stopped midway starts from its beginning.

    So a result does not depend on interruptions, and a run whose config or data changed is repeated. A run
    whose config says ``resume = True`` goes on from its newest checkpoint instead, if that is of the same
    config and data. Each process uses one thread for computation. Several calls, also on several hosts, may
    share ``work_dir``: each run is done by one of them, and all return when all are done.

    Args:
        runs: Such as those of a :class:`Benchmark`. Those that others come after are among them, or have
            results.
        work_dir: Where the runs' folders are.
        jobs: Number of runs at a time.
        name: Of the progress bar.
        files: What told the data of the runs apart; it looks again at the end.
        engine: Where runs are done. Default: processes of this machine.

    Returns:
        Why runs failed, for those that did. The others are run nevertheless.
    """
    pending = [run for run in runs if read_result(work_dir / run.folder, run.fingerprint) is None]
    _say_what_changed(pending, work_dir)
    failed: dict[T, str] = {}
    interval = 0.1 if sys.stderr.isatty() else 10  # a log file would not want ten lines a second
    bar = tqdm(
        total=len(runs),
        initial=len(runs) - len(pending),
        desc=name,
        unit='run',
        mininterval=interval,
        dynamic_ncols=True,
    )
    with bar, Claims(work_dir) as claims:
        progress = Progress(bar, work_dir)
        for part in ([run for run in pending if not run.after], [run for run in pending if run.after]):
            for run, reason in _done(part, work_dir, jobs, engine or LocalEngine(), claims, progress):
                if reason is not None:
                    failed[run] = reason
                    tqdm.write(f'FAILED {run}: {reason}', file=sys.stderr)
                bar.update()
    for run in pending if files is not None else ():
        if run not in failed and files.digests(run.cfg, again=True) != run.data:
            changed = ', '.join(changed_data(work_dir / run.folder, files.digests(run.cfg)))
            failed[run] = f'its data changed while it ran: {changed}'
            print(f'FAILED {run}: {failed[run]}', file=sys.stderr)
            (work_dir / run.folder / FILE).unlink(missing_ok=True)  # another may have seen it, too
    return failed


def _say_what_changed(pending: Sequence[T], work_dir: Path) -> None:
    """Print which data are others than those that finished runs were trained on."""
    finished = [run for run in pending if (work_dir / run.folder / FILE).exists()]
    changed = {run: changed_data(work_dir / run.folder, run.data) for run in finished}
    paths = sorted({path for found in changed.values() for path in found})
    if paths:
        count = sum(map(bool, changed.values()))
        what = 'data have changed since, or were not noted'
        print(f'Runs repeated: {count} ({", ".join(paths)}: {what}).', flush=True)


def _done(
    runs: Sequence[T], work_dir: Path, jobs: int, engine: Engine, claims: Claims, progress: Progress
) -> Iterator[tuple[T, str | None]]:
    """Yield each run when it is done, here or by another process, with why it failed, or None."""
    waiting = list(runs)
    running: dict[Future, T] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or running:
                for run in list(waiting):
                    if len(running) == jobs:
                        break
                    name = str(run.folder)
                    mine = claims.take(name)
                    if read_result(work_dir / run.folder, run.fingerprint) is not None:
                        if mine:
                            claims.release(name)
                        waiting.remove(run)
                        yield run, None
                    elif mine:
                        waiting.remove(run)
                        running[pool.submit(_run, run, work_dir, engine)] = run
                # Others tell nobody that they have finished, and logs grow silently: look at them.
                done, _ = wait(running, POLL, FIRST_COMPLETED)
                if not running:
                    time.sleep(POLL)
                progress.show(running.values())
                for future in done:
                    run = running.pop(future)
                    claims.release(str(run.folder))
                    yield run, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            engine.close()


def _run(run: Training, work_dir: Path, engine: Engine) -> str | None:
    """Do a run; return why it failed, or None."""
    folder, fingerprint = work_dir / run.folder, run.fingerprint
    for other in run.after.values():
        if read_result(work_dir / other.folder, other.fingerprint) is None:
            return f'it comes after {other}, which has no result'
    engine.prepare(folder)
    if not (run.cfg.get('resume', False) and _has_begun(folder, fingerprint)):
        _begin(folder, fingerprint)
    run.placed(work_dir).dump(folder / CONFIG)
    write_data(folder, run.data)
    end = engine.run(folder, fingerprint, run.tested)
    if read_result(folder, fingerprint) is not None:
        return None
    log = folder / LOG
    last = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()[-1:] if log.exists() else []
    return f'{last[0] if last else end} (see {log})'


def _has_begun(folder: Path, fingerprint: str) -> bool:
    """Whether what lies in a run's folder is of this run, and not of one with another config or data."""
    note = folder / BEGUN
    return note.is_file() and note.read_text(encoding='utf-8') == fingerprint


def _begin(folder: Path, fingerprint: str) -> None:
    """Empty a run's folder, and note whose it is."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with replacing(folder / BEGUN) as temporary:
        temporary.write_text(fingerprint, encoding='utf-8')
