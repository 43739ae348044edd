"""A run goes on from what lies in its folder only if it says so, and only from its own."""

import pytest
from mmengine.config import Config

from mmcggm.benchmark import Run, run_all, write_result


class HaltingEngine:
    """An engine that adds a line to a file of the run, and finishes at the third."""

    def prepare(self, folder):
        pass

    def run(self, folder, fingerprint, checkpoint):
        with (folder / 'lines').open('a') as file:
            file.write('line\n')
        if (folder / 'lines').read_text().count('line') == 3:
            write_result(folder, fingerprint, metrics={})
        return 'it was stopped'

    def close(self):
        pass


def stopped(tmp_path, times, **cfg):
    """Return how many lines there are after so many calls."""
    for _ in range(times):
        run = Run('clean', 'joint', 0, Config(cfg), 'last')
        run_all([run], tmp_path, engine=HaltingEngine())
    return (tmp_path / run.folder / 'lines').read_text().count('line')


@pytest.mark.parametrize(('resume', 'lines'), [(True, 2), (False, 1)])
def test_only_a_run_that_resumes_keeps_what_is_there(tmp_path, resume, lines):
    assert stopped(tmp_path, 2, resume=resume) == lines
    assert stopped(tmp_path, 3, resume=resume) == (3 if resume else 1)  # finished, it is not run again


def test_what_is_of_another_config_is_not_gone_on_with(tmp_path):
    assert stopped(tmp_path, 2, resume=True, lr=0.1) == 2
    assert stopped(tmp_path, 1, resume=True, lr=0.2) == 1
