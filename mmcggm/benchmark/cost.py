"""What methods cost: step time, memory and number of steps, relative to the baseline."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from .engines import start_context
from .grid import Benchmark, Run
from .results import COST_FILE, COST_LOG, read_result

TURNS = 20


class Cost(NamedTuple):
    """Of a method, relative to the baseline.

    Attributes:
        step_time: Median of the ratios of training steps that take turns in one process.
        memory: Ratio of the peaks of a step.
        steps: Ratio of the steps of a training.
    """

    step_time: float
    memory: float
    steps: float


def measure_costs(benchmark: Benchmark, runs: Sequence[Run], work_dir: Path) -> dict[str, Cost]:
    """Return the cost of each method, in the first setting, as its first finished run has it.

    Each is measured once, one at a time. Of one that fails there is none, and its log is named.
    """
    results = {
        run: read_result(work_dir / run.folder, run.fingerprint)
        for run in runs
        if run.setting == benchmark.settings[0]
    }
    first: dict[str, Run] = {}
    for run, result in results.items():
        if result is not None:
            first.setdefault(run.method, run)
    baseline = first.pop(benchmark.baseline, None)
    if baseline is None:
        return {}
    costs = {benchmark.baseline: Cost(1.0, 1.0, 1.0)}
    interval = 0.1 if sys.stderr.isatty() else 10
    for method, run in tqdm(first.items(), desc='Costs', unit='method', mininterval=interval):
        folder, fingerprints = work_dir / run.folder, [run.fingerprint, baseline.fingerprint]
        found = _read(folder, fingerprints)
        if found is None:
            process = start_context().Process(
                target=_start, args=(folder, work_dir / baseline.folder, fingerprints, TURNS)
            )
            process.start()
            process.join()
            found = _read(folder, fingerprints)
        if found is None:
            tqdm.write(f'FAILED cost of {method}: see {folder / COST_LOG}', file=sys.stderr)
        else:
            steps = results[run]['train_steps'] / results[baseline]['train_steps']
            costs[method] = Cost(found['step_time'], found['memory'], steps)
    return costs


def _read(folder: Path, fingerprints: Sequence[str]) -> dict[str, float] | None:
    path = folder / COST_FILE
    content = json.loads(path.read_text(encoding='utf-8')) if path.exists() else None
    return content if content is not None and content['fingerprints'] == fingerprints else None


def _start(*args) -> None:
    # Here, since the process that starts others needs none of what they import.
    from .cost_process import measure_in_process

    measure_in_process(*args)
