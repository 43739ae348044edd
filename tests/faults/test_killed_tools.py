"""A tool that is killed while it works loses nothing."""

from tests.faults.killed_tools import all_is_well, run


def test_a_conversion_goes_on_where_it_was_killed():
    result = run('conversion', count=2, seed=0)
    assert all_is_well(result) and result['kills'] == 2 and result['runs_compared'] >= 1
