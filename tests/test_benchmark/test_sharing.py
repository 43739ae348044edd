"""Several processes share the runs of a benchmark: none is done twice, and none is lost with its process."""

import math
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmcggm.benchmark import Run, read_result, run_all, write_result
from mmcggm.benchmark.claims import FOLDER, Claims
from tests.processes import run_processes


def runs(count: int) -> list[Run]:
    found = [Run('clean', 'joint', seed, Config(dict(seed=seed)), 'last') for seed in range(count)]
    after = Run('clean', 'umt', 0, Config(dict(teacher='')), 'last', after={'teacher': found[0]})
    return [*found, after]


class NotingEngine:
    """An engine that trains nothing: it writes who did which run, and its result."""

    def __init__(self, who: str, notes: Path, seconds: float = 0.0, fails: str | None = None) -> None:
        self.who, self.notes, self.seconds, self.fails = who, notes, seconds, fails

    def prepare(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, folder: Path, fingerprint: str, checkpoint: str | None) -> str:
        with self.notes.open('a') as file:
            file.write(f'{self.who} {folder.parent.name}/{folder.name}\n')
        time.sleep(self.seconds)
        if folder.name != self.fails:
            write_result(folder, fingerprint, metrics={'accuracy': 0.5})
        return 'it failed'

    def close(self) -> None:
        pass


def be_a_host(rank: int, folder: Path) -> None:
    engine = NotingEngine(f'host{rank}', folder / 'notes', seconds=0.3)
    assert run_all(runs(6), folder / 'work', jobs=2, engine=engine) == {}
    assert all(read_result(folder / 'work' / run.folder, run.fingerprint) for run in runs(6))


def test_two_hosts_share_the_runs(tmp_path):
    run_processes(be_a_host, tmp_path)
    who, what = zip(*map(str.split, (tmp_path / 'notes').read_text().splitlines()), strict=True)
    assert sorted(what) == [*(f'joint/seed_{seed}' for seed in range(6)), 'umt/seed_0']
    assert set(who) == {'host0', 'host1'} and not (tmp_path / 'work' / FOLDER).exists()


def test_a_run_that_fails_is_told_and_tried_by_the_next(tmp_path):
    engine = NotingEngine('first', tmp_path / 'notes', fails='seed_1')
    asked = runs(2)
    failed = run_all(asked, tmp_path / 'work', engine=engine)
    assert list(failed) == [asked[1]] and failed[asked[1]].startswith('it failed')
    engine.fails = None
    assert run_all(asked, tmp_path / 'work', engine=engine) == {}
    assert (tmp_path / 'notes').read_text().split()[1::2].count('joint/seed_0') == 1


def be_killed(rank: int, folder: Path) -> None:
    with Claims(folder) as claims:
        assert claims.take('a')
        os._exit(0)


def test_a_claim_ends_with_its_process(tmp_path):
    run_processes(be_killed, tmp_path, count=1)
    with Claims(tmp_path) as first, Claims(tmp_path) as second:
        assert len(list((tmp_path / FOLDER).iterdir())) == 1
        assert first.take('a') and not second.take('a')
        first.release('a')
        assert not list((tmp_path / FOLDER).iterdir()) and second.take('a')
    assert not (tmp_path / FOLDER).exists()


def test_a_claim_of_another_host_ends_when_nobody_touches_it(tmp_path, monkeypatch):
    with Claims(tmp_path, patience=0.5) as ours, Claims(tmp_path, patience=0.5) as theirs:
        monkeypatch.setattr('mmcggm.benchmark.claims.place', lambda: 'elsewhere')
        assert theirs.take('a')
        monkeypatch.undo()
        for _ in range(20):  # it is touched
            assert not ours.take('a')
            time.sleep(0.05)
        theirs._ended.set()
        theirs._thread.join()
        assert not ours.take('a')
        time.sleep(0.7)
        assert ours.take('a') and not theirs.take('a')


@given(st.integers(2, 6))
def test_one_of_many_gets_it(count):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FOLDER
        path.mkdir()
        (path / 'a').write_text('token elsewhere 1 host')
        found: list[bool] = []
        start = threading.Barrier(count)

        def take() -> None:
            claims = Claims(Path(folder))
            claims._seen[path / 'a'] = (path / 'a').stat().st_mtime_ns, -math.inf  # untouched for ever
            start.wait()
            found.append(claims.take('a'))

        threads = [threading.Thread(target=take) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(found) == 1 and len(list(path.iterdir())) == 2


@pytest.mark.parametrize('parameters', [dict(slurm_partitoin='gpu'), dict(cluster='moon')])
def test_what_submitit_does_not_know_is_named(tmp_path, parameters):
    pytest.importorskip('submitit')
    from mmcggm.benchmark import SubmititEngine

    with pytest.raises(ValueError, match='--engine-options: submitit does not take'):
        SubmititEngine(tmp_path, parameters)


def test_submitit_takes_the_options_that_the_page_names(tmp_path):
    pytest.importorskip('submitit')
    from mmcggm.benchmark import SubmititEngine

    options = dict(timeout_min=240, name='mine', cpus_per_task=2, slurm_partition='cpu', cluster='local')
    assert SubmititEngine(tmp_path, options)._executor._executor.parameters['timeout_min'] == 240
