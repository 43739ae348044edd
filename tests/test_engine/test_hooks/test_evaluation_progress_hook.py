"""A slow validation or test tells where it is, and a fast one doesn't."""

import itertools
import re
from types import SimpleNamespace

import pytest
from mmengine.dataset import default_collate

from mmcggm.engine.hooks import EvaluationProgressHook, evaluation_progress_hook
from tests.tiny import TinyData, evaluating_runner

BATCHES = 10


def lines(tmp_path, monkeypatch, mode: str, step: int, by_epoch: bool = True) -> list[str]:
    """Return the hook's lines of an evaluation whose batches take ``step`` seconds each."""
    clock = itertools.count(0, step)
    monkeypatch.setattr(evaluation_progress_hook, 'time', SimpleNamespace(monotonic=lambda: next(clock)))
    runner = evaluating_runner(
        tmp_path,
        hooks=[EvaluationProgressHook(30)],
        log_level='INFO',
        log_processor=dict(by_epoch=by_epoch),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=BATCHES)),
        **{
            f'{mode}_dataloader': dict(
                dataset=TinyData(BATCHES),
                batch_size=1,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=default_collate,
            )
        },
    )
    getattr(runner, mode)()
    log = next(tmp_path.glob('*/*.log')).read_text()
    return re.findall(rf'\w+\({mode}\) .*?after \d+ s', log)


@pytest.mark.parametrize('mode', ['val', 'test'])
def test_a_line_comes_when_nothing_was_told_for_long(mode, tmp_path, monkeypatch):
    assert lines(tmp_path, monkeypatch, mode, step=12) == [
        f'Epoch({mode}) [3/10]  after 36 s',
        f'Epoch({mode}) [6/10]  after 72 s',
        f'Epoch({mode}) [9/10]  after 108 s',
    ]


def test_each_batch_that_is_slow_is_told(tmp_path, monkeypatch):
    found = lines(tmp_path, monkeypatch, 'test', step=100, by_epoch=False)
    assert found == [f'Iter(test) [{n}/10]  after {n}00 s' for n in range(1, 11)]


def test_a_fast_test_is_left_to_the_logger(tmp_path, monkeypatch):
    assert lines(tmp_path, monkeypatch, 'test', step=1) == []
