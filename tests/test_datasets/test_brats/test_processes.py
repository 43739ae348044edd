import os
import signal

import pytest

from mmcggm.datasets.brats.processes import run_each


def work(item):
    """Square a number; what is named otherwise dies, or raises."""
    if item == 'dies':
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 'full':
        raise OSError('No space left on device')
    return item**2


@pytest.mark.parametrize('workers', [1, 3])
def test_an_item_whose_process_is_killed_costs_no_other(workers):
    items = [1, 'dies', 2, 3, 'dies', *range(4, 12)]
    found = list(run_each(work, items, workers, 'Testing'))
    assert [pair for pair in found if pair[0] == 'dies'] == [('dies', None)] * 2
    assert sorted(pair for pair in found if pair[0] != 'dies') == [(item, item**2) for item in range(1, 12)]


def test_an_error_ends_the_run():
    with pytest.raises(OSError, match='No space'):
        list(run_each(work, [1, 'full', 2], 1, 'Testing'))


def test_nothing_to_do_is_done():
    assert list(run_each(work, [], 2, 'Testing')) == []
