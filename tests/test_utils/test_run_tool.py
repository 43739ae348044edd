"""What a user sees at the end of a tool that fails."""

import os
import subprocess
import sys

import pytest

HEAD = """
from mmcggm.datasets.brats.splits import check_fractions
from mmcggm.utils.run_tool import run_tool

def in_worker(read):
    from torch.utils.data import DataLoader, Dataset

    class Data(Dataset):
        def __len__(self): return 1
        def __getitem__(self, index): return read()

    next(iter(DataLoader(Data(), num_workers=1)))
"""
BUILD = 'import mmcggm.evaluation; from mmcggm.registry import METRICS; METRICS.build'
FORESEEN = {
    'raised on purpose': ('check_fractions([1, 1, 1])', '--split needs three shares'),
    'raised by the tool': ('raise ValueError("--out needs a folder.")', '--out needs a folder.'),
    'no such file': ('open("/no/such/file")', '/no/such/file: No such file or directory.'),
    'no such component': (f'{BUILD}(dict(type="SliceDise"))', 'SliceDise is not in the'),
    'a killed worker of the loader': (
        'import os; in_worker(lambda: os.kill(os.getpid(), 9))',
        'DataLoader worker (pid',
    ),
    'in a worker of the loader': ('in_worker(lambda: check_fractions([1]))', '--split needs three shares'),
}
UNFORESEEN = {
    'of Python': ('[][1]', 'list index out of range'),
    'of another package': ('import torch; torch.zeros(2) @ torch.zeros(3)', 'inconsistent tensor size'),
    'in a worker of the loader': ('in_worker(lambda: [][1])', 'list index out of range'),
    'without a message': ('assert False', 'AssertionError'),
}


def run(tmp_path, body: str, **environment: str) -> subprocess.CompletedProcess:
    script = tmp_path / 'tool.py'
    script.write_text(f'{HEAD}\ndef main():\n    {body}\n\nif __name__ == "__main__":\n    run_tool(main)\n')
    command = [sys.executable, str(script)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.mark.parametrize('name', FORESEEN)
def test_a_foreseen_error_is_one_line(tmp_path, name):
    body, message = FORESEEN[name]
    done = run(tmp_path, body)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr and done.stderr.splitlines()[-1].startswith(f'Error: {message}')


@pytest.mark.parametrize('name', UNFORESEEN)
def test_another_error_has_its_traceback_and_ends_with_what_it_is(tmp_path, name):
    body, message = UNFORESEEN[name]
    done = run(tmp_path, body.replace('assert False', 'exec("assert False")'))
    assert done.returncode == 1 and 'Traceback' in done.stderr
    *_, error, what = done.stderr.splitlines()
    assert error.startswith(f'Error: {message}') and what.startswith('Nobody foresaw this error')


def test_a_component_names_the_argument_that_it_does_not_take(tmp_path):
    done = run(tmp_path, f'{BUILD}(dict(type="ClassificationMetric", collect_devise="cpu"))')
    assert 'Traceback' not in done.stderr
    assert (
        "argument 'collect_devise'. ClassificationMetric has no setting `collect_devise`. Did you mean "
        "'collect_device'" in done.stderr
    )


@pytest.mark.parametrize(('body', 'status'), [('return 3', 3), ('pass', 0), ('raise KeyboardInterrupt', 130)])
def test_exit_status(tmp_path, body, status):
    done = run(tmp_path, body)
    assert done.returncode == status and 'Traceback' not in done.stderr


def test_the_log_file_has_the_error_too(tmp_path):
    logger = f'MMLogger.get_instance("t", log_file={str(tmp_path / "log")!r})'
    run(tmp_path, f'from mmengine.logging import MMLogger; {logger}; check_fractions([1])')
    assert '--split needs three shares' in (tmp_path / 'log').read_text()


def test_torchrun_repeats_the_error(tmp_path):
    run(tmp_path, 'raise ValueError("told")', TORCHELASTIC_ERROR_FILE=str(tmp_path / 'error.json'))
    assert 'told' in (tmp_path / 'error.json').read_text()


def test_what_dependencies_say_at_each_start_is_left_out(tmp_path):
    done = run(tmp_path, 'import mmseg.models, mmcggm.models')
    assert done.returncode == 0 and not done.stderr


def test_a_reader_that_has_enough_is_no_error_of_the_tool(tmp_path):
    script = tmp_path / 'tool.py'
    script.write_text(
        f'{HEAD}\ndef main():\n    while True: print("line" * 1000, flush=True)\n\nrun_tool(main)\n'
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tool:
        assert tool.stdout.readline().startswith('line')
        tool.stdout.close()
        assert (tool.wait(timeout=60), tool.stderr.read()) == (1, '')
