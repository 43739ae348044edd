"""Where the trainings of a benchmark run: on this machine, or as jobs of a cluster."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from mmcggm.utils import import_optional
from mmcggm.utils.atomic import replacing
from mmcggm.utils.processes import place

JOBS = 'jobs'  # folder of submitit's files
JOB = 'job.txt'  # in a run's folder: the number of its job
DAY = 24 * 60  # minutes


class Engine(Protocol):
    """Runs trainings; several threads may ask it to."""

    def prepare(self, folder: Path) -> None:
        """See that nothing of an earlier try works in a run's folder any more."""

    def run(self, folder: Path, fingerprint: str, checkpoint: str | None) -> str:
        """Do the run of a folder, see :func:`~mmcggm.benchmark.run.run_in_process`; return how it ended."""

    def close(self) -> None:
        """End what still runs."""


class LocalEngine:
    """A process of this machine for each run."""

    def __init__(self) -> None:
        self._context = start_context()
        self._started: set[BaseProcess] = set()

    def prepare(self, folder: Path) -> None:
        """Do nothing: processes of this machine end with the one that started them."""

    def run(self, folder: Path, fingerprint: str, checkpoint: str | None) -> str:
        process = self._context.Process(target=_in_process, args=(folder, fingerprint, checkpoint))  # type: ignore[attr-defined]
        process.start()
        self._started.add(process)
        process.join()
        self._started.discard(process)
        return f'exit code {process.exitcode}'

    def close(self) -> None:
        for process in list(self._started):
            process.kill()


class SubmititEngine:
    """A job of submitit for each run: of Slurm where there is one, else of this machine.

    The benchmark's folder must be one that the jobs' machines see under the same name.

    Args:
        work_dir: Of the benchmark. Jobs' files are in ``jobs`` in it.
        parameters: Of ``submitit.AutoExecutor.update_parameters``, such as ``timeout_min`` (default: a day),
            ``cpus_per_task`` and ``slurm_partition``; and ``cluster``, such as ``'local'``.

    Raises:
        ValueError: If there is no such parameter.
    """

    def __init__(self, work_dir: Path, parameters: Mapping[str, Any]) -> None:
        submitit = import_optional('submitit', extra='cluster')
        settings = {'timeout_min': DAY, 'name': work_dir.name, 'cpus_per_task': 1, **parameters}
        cluster = settings.pop('cluster', None)
        try:
            self._executor = submitit.AutoExecutor(work_dir.resolve() / JOBS / '%j', cluster=cluster)
            self._executor.update_parameters(**settings)
        except (NameError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f'--engine-options: submitit does not take {dict(parameters)}. {error}'
            ) from error
        self._job_of = self._executor._executor.job_class
        self._running: set[Any] = set()

    def prepare(self, folder: Path) -> None:
        """Cancel the job that a benchmark left behind which was killed."""
        note = folder / JOB
        if note.exists():
            job = self._job_of(self._executor.folder, note.read_text(encoding='utf-8').strip())
            if not job.done(force_check=True):
                job.cancel()
                job.wait()

    def run(self, folder: Path, fingerprint: str, checkpoint: str | None) -> str:
        job = self._executor.submit(_in_job, folder.resolve(), fingerprint, checkpoint, place(), os.getpid())
        self._running.add(job)
        with replacing(folder / JOB) as temporary:
            temporary.write_text(job.job_id, encoding='utf-8')
        job.wait()
        self._running.discard(job)
        last = (job.stderr() or '').strip().splitlines()[-1:]
        return f'job {job.job_id}: {last[0] if last else job.state}'

    def close(self) -> None:
        for job in list(self._running):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                job.cancel()


def start_context() -> BaseContext:
    """Return how processes start: where it exists, from a server that has imported everything."""
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    # The last is what metrics import when they are built; where it isn't installed, the server goes without.
    context.set_forkserver_preload(['mmcggm.benchmark', 'mmcggm.benchmark.run', 'sklearn.metrics'])
    return context


def _in_process(folder: Path, fingerprint: str, checkpoint: str | None) -> None:
    # Here, since the process that starts runs needs none of what they import.
    from mmcggm.utils.processes import end_with_parent

    from .run import run_in_process

    end_with_parent()
    run_in_process(folder, fingerprint, checkpoint)


def _in_job(folder: Path, fingerprint: str, checkpoint: str | None, where: str, benchmark: int) -> None:
    from mmcggm.utils.processes import end_with

    from .run import run_in_process

    if where == place():  # elsewhere the next benchmark cancels the job
        end_with(benchmark)
    run_in_process(folder, fingerprint, checkpoint)
