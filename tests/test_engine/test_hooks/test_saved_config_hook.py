"""The copy of a config in the work_dir is that of the last training that began."""

import pytest
from mmengine.config import Config

from tests.tiny import evaluating_runner


def runner(work_dir, number: int, **settings):
    source = work_dir / 'source' / 'tiny.py'
    source.parent.mkdir(exist_ok=True)
    source.write_text(f'number = {number}\n')
    return evaluating_runner(work_dir, cfg=Config.fromfile(source), **settings)


def copy(work_dir) -> int:
    return Config.fromfile(work_dir / 'tiny.py').number


def test_a_test_and_a_training_that_is_refused_leave_the_copy_alone(tmp_path):
    runner(tmp_path, 1).train()
    assert copy(tmp_path) == 1
    runner(tmp_path, 2).test()
    assert copy(tmp_path) == 1
    with pytest.raises((TypeError, ValueError)):
        runner(tmp_path, 3, train_cfg=dict(by_epoch=True, max_epoch=2)).train()
    assert copy(tmp_path) == 1
    runner(tmp_path, 4).train()
    assert copy(tmp_path) == 4


def test_without_a_training_a_test_leaves_its_own(tmp_path):
    runner(tmp_path, 2).test()
    assert copy(tmp_path) == 2
