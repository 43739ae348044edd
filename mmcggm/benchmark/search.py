"""What a search found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmcggm.utils.atomic import replacing

from .candidates import best_candidate
from .grid import Benchmark
from .results import read_result

FILE = 'search.json'


def choose(benchmark: Benchmark, work_dir: Path) -> dict[tuple[str, str], int] | None:
    """Return the best candidate of each setting and method, or None if there was no search.

    What was tried and what it reached is written to ``search.json`` in ``work_dir``.

    Raises:
        ValueError: If all trials of a method failed.
    """
    if not benchmark.trials:
        return None
    scores: dict[tuple[str, str], dict[int, list[float]]] = {}
    validations: dict[tuple[str, str], dict[str, Any]] = {}
    for run in benchmark.trials:
        result = read_result(work_dir / run.folder, run.fingerprint)
        if result is not None:
            key = run.setting, run.method
            validations[key] = result['validation']
            scores.setdefault(key, {}).setdefault(run.trial, []).append(result['validation']['value'])
    choice, report = {}, []
    for key, tried in benchmark.candidates.items():
        if key not in scores:
            raise ValueError(f'All trials of {key[1]} ({key[0]}) failed: see their logs in {work_dir}.')
        choice[key] = best_candidate(scores[key], validations[key]['rule'])
        report.append(
            dict(
                setting=key[0],
                method=key[1],
                metric=validations[key]['metric'],
                seeds=benchmark.search_seeds,
                chosen=tried[choice[key]],
                tried=[
                    dict(overrides=overrides, values=scores[key].get(number, []))
                    for number, overrides in enumerate(tried)
                ],
            )
        )
    with replacing(work_dir / FILE) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    return choice
