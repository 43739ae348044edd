"""Runs the trainings of a benchmark, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from mmengine.config import Config
from tqdm import tqdm

from .data import DataFiles, changed_data, write_data
from .grid import Run
from .results import CONFIG, FILE, LOG, read_result


def run_all(
    runs: Sequence[Run], work_dir: Path, jobs: int = 1, name: str = 'Runs', files: DataFiles | None = None
) -> dict[Run, str]:
    """Run what has no result yet; one that was stopped midway starts from its beginning.

    So a result does not depend on interruptions, and a run whose config or data changed is repeated. Each
    process uses one thread for computation. One call at a time may write to ``work_dir``.

    Args:
        runs: Of a :class:`Benchmark`. Those that others come after are among them, or have results.
        work_dir: Where the runs' folders are.
        jobs: Number of processes.
        name: Of the progress bar.
        files: What told the data of the runs apart; it looks again at the end.

    Returns:
        Why runs failed, for those that did. The others are run nevertheless.
    """
    pending = [run for run in runs if read_result(work_dir / run.folder, run.fingerprint) is None]
    _say_what_changed(pending, work_dir)
    failed: dict[Run, str] = {}
    interval = 0.1 if sys.stderr.isatty() else 10  # a log file would not want ten lines a second
    progress = tqdm(
        total=len(runs), initial=len(runs) - len(pending), desc=name, unit='run', mininterval=interval
    )
    with progress:
        for part in ([run for run in pending if not run.after], [run for run in pending if run.after]):
            for run, reason in _done(part, work_dir, jobs):
                if reason is not None:
                    failed[run] = reason
                    tqdm.write(f'FAILED {run}: {reason}', file=sys.stderr)
                progress.update()
    for run in pending if files is not None else ():
        if run not in failed and files.digests(run.cfg, again=True) != run.data:
            changed = ', '.join(changed_data(work_dir / run.folder, files.digests(run.cfg)))
            failed[run] = f'its data changed while it ran: {changed}'
            print(f'FAILED {run}: {failed[run]}', file=sys.stderr)
            (work_dir / run.folder / FILE).unlink()
    return failed


def _say_what_changed(pending: Sequence[Run], work_dir: Path) -> None:
    """Print which data are others than those that finished runs were trained on."""
    finished = [run for run in pending if (work_dir / run.folder / FILE).exists()]
    changed = {run: changed_data(work_dir / run.folder, run.data) for run in finished}
    paths = sorted({path for found in changed.values() for path in found})
    if paths:
        count = sum(map(bool, changed.values()))
        what = 'data have changed since, or were not noted'
        print(f'Runs repeated: {count} ({", ".join(paths)}: {what}).', flush=True)


def _done(runs: Sequence[Run], work_dir: Path, jobs: int) -> Iterator[tuple[Run, str | None]]:
    """Yield each run when it is done, with why it failed, or None."""
    context = start_context()
    started: set[BaseProcess] = set()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_run, run, work_dir, context, started): run for run in runs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(started):
                process.kill()


def start_context() -> BaseContext:
    """Return how processes start: where it exists, from a server that has imported everything."""
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['mmcggm.benchmark', 'mmcggm.benchmark.run'])
    return context


def _run(run: Run, work_dir: Path, context: BaseContext, started: set[BaseProcess]) -> str | None:
    """Do a run; return why it failed, or None."""
    folder, fingerprint = work_dir / run.folder, run.fingerprint
    for other in run.after.values():
        if read_result(work_dir / other.folder, other.fingerprint) is None:
            return f'it comes after {other}, which has no result'
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    cfg = Config(run.cfg.to_dict())
    cfg.merge_from_dict({key: str(work_dir / other.folder) for key, other in run.after.items()})
    cfg.dump(folder / CONFIG)
    write_data(folder, run.data)
    checkpoint = run.checkpoint if run.trial is None else None
    process = context.Process(target=_start, args=(folder, fingerprint, checkpoint))
    process.start()
    started.add(process)
    process.join()
    started.discard(process)
    if read_result(folder, fingerprint) is not None:
        return None
    log = folder / LOG
    last = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()[-1:] if log.exists() else []
    return f'{last[0] if last else f"exit code {process.exitcode}"} (see {log})'


def _start(folder: Path, fingerprint: str, checkpoint: str | None) -> None:
    # Here, since the process that starts runs needs none of what they import.
    from .run import run_in_process

    run_in_process(folder, fingerprint, checkpoint)
