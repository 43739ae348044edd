"""Time and memory of steps."""

import time

import pytest
import torch

from mmcggm.benchmark.measure import peak_allocation, time_in_turns


def test_peak_is_what_exists_at_one_time():
    mebibyte = 2**20

    def act():
        first = torch.empty(8 * mebibyte, dtype=torch.uint8)
        second = torch.empty(4 * mebibyte, dtype=torch.uint8)
        del first
        return torch.empty(6 * mebibyte, dtype=torch.uint8), second

    assert peak_allocation(act) == pytest.approx(12 * mebibyte, abs=1024)


def test_steps_take_turns_and_the_first_two_do_not_count():
    calls = []

    def burn(name):
        calls.append(name)
        end = time.process_time() + 0.002
        while time.process_time() < end:
            pass

    times = time_in_turns({name: lambda name=name: burn(name) for name in 'ab'}, torch.device('cpu'), 3)
    assert ''.join(calls) == 'ab' * 5
    assert {name: len(found) for name, found in times.items()} == {'a': 3, 'b': 3}
    assert all(value > 0.0019 for found in times.values() for value in found)  # less what is rounded
