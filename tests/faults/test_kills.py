"""Kills cost the iterations since the last checkpoint, nothing else."""

import pytest

from tests.faults.kills import all_is_well, run


@pytest.mark.parametrize('what', ['training', 'checkpoint'])
def test_a_few_kills_cost_nothing_but_time(what):
    result = run(what, count=2, seed=1)
    assert result['kills'] == 2 and not result['failures'] and all_is_well(result), result
