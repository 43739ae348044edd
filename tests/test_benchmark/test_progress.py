"""The bar of a benchmark says where its trainings are, as their logs do."""

import io
from types import SimpleNamespace

import pytest
from tqdm import tqdm

from mmcggm.benchmark.progress import TAIL, Progress, newest_step
from mmcggm.benchmark.results import LOG
from tests.tiny import evaluating_runner

PREFIX = '11/30 06:04:16 - mmengine - INFO - '


class Named(SimpleNamespace):
    def __str__(self) -> str:
        return self.name


@pytest.mark.parametrize(
    ('line', 'step'),
    [
        ('Epoch(train)  [3][20/40]  lr: 1.0000e-01  eta: 0:00:07', 'Epoch(train) [3][20/40]'),
        ('Epoch(train)   [3][ 20/400]  lr: 0.1', 'Epoch(train) [3][ 20/400]'),
        ('Iter(train) [ 200/4000]  loss: 3', 'Iter(train) [ 200/4000]'),
        ('Epoch(val) [1][10/24]    time: 0.1', 'Epoch(val) [1][10/24]'),
        ('Epoch(test) [10/24]    time: 0.1', 'Epoch(test) [10/24]'),
    ],
)
def test_the_last_step_is_found(line, step, tmp_path):
    log = tmp_path / LOG
    log.write_text(f'{PREFIX}Epoch(train) [1][10/40]  loss: 1\n{PREFIX}{line}\n{PREFIX}Saving checkpoint\n')
    assert newest_step(log) == step


def test_no_step_is_none(tmp_path):
    assert newest_step(tmp_path / LOG) is None
    (tmp_path / LOG).write_bytes(PREFIX.encode() + b'\xff\n')
    assert newest_step(tmp_path / LOG) is None


def test_only_the_end_of_a_long_log_is_read(tmp_path):
    log = tmp_path / LOG
    log.write_text('Epoch(train) [1][10/40]\n' + 'é' * TAIL)
    assert newest_step(log) is None


def test_it_reads_what_the_engine_logs(tmp_path):
    runner = evaluating_runner(tmp_path, log_level='INFO')
    runner.train()
    assert newest_step(next(tmp_path.glob('*/*.log'))) == 'Epoch(val) [2][3/3]'


def test_the_bar_shows_each_running_training(tmp_path):
    for name in 'ab':
        (tmp_path / name).mkdir()
        (tmp_path / name / LOG).write_text(f'Epoch(train) [{ord(name)}][10/40]\n')
    running = [Named(name=f'fold {name}', folder=name) for name in 'abc']
    with tqdm(total=3, file=(text := io.StringIO())) as bar:
        Progress(bar, tmp_path, interval=0).show(running)
    assert 'fold a: Epoch(train) [97][10/40]; fold b: Epoch(train) [98][10/40]]' in text.getvalue()
    with tqdm(total=3, file=(text := io.StringIO())) as bar:
        Progress(bar, tmp_path, interval=1000).show(running)
    assert 'fold a' not in text.getvalue()
