"""Where a plot of costs writes the names of methods, and that each is there."""

import runpy
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mmcggm.benchmark import Cost, Row, read_tables, write_tables
from mmcggm.benchmark.summary import Comparison
from mmcggm.visualization.cost_plot import cost_points, draw_costs, spread

PLACES = st.lists(st.floats(0, 1), min_size=1, max_size=6).map(sorted)


@given(PLACES, st.floats(0.01, 0.5))
def test_names_keep_their_order_and_distance(places, gap):
    moved = spread(places, gap)
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(moved))
    if (len(places) - 1) * gap <= 1:
        assert min(moved) >= 0 and max(moved) <= 1 + 1e-9
    assert spread(moved, gap) == pytest.approx(moved)


@given(PLACES.filter(lambda p: len(p) < 5))
def test_names_move_as_little_as_possible(places):
    wished, gap = np.array(places), 0.2
    start = gap * np.arange(len(wished))
    limits = [dict(type='ineq', fun=lambda x, i=i: x[i + 1] - x[i] - gap) for i in range(len(wished) - 1)]
    best = minimize(
        lambda x: ((x - wished) ** 2).sum(), start, constraints=limits, bounds=[(0, 1)] * len(wished)
    )
    assert spread(places, gap) == pytest.approx(best.x, abs=1e-3)


AGAINST = {'plain': Comparison()}


def row(setting: str, method: str, values: tuple[float, ...], seeds: tuple[int, ...] = (0, 1)) -> Row:
    return Row(setting, method, 'a', seeds, values, sum(values) / len(values), 0.07, AGAINST)


COSTS = {'plain': Cost(1, 1, 1), 'twin': Cost(1, 1, 1), 'slow': Cost(2, 1, 3)}
ROWS = [
    row(setting, method, (mean, mean + 0.1))
    for setting in ('clean', 'noisy')
    for method, mean in zip(COSTS, (0.5, 0.5, 0.55), strict=True)
]


def test_each_method_of_a_setting_is_named_once(tmp_path):
    figure = draw_costs(cost_points(ROWS, COSTS, 'a', 'plain'), 'a', 'plain')
    assert [ax.get_title(loc='left') for ax in figure.axes] == ['clean', 'noisy']
    for ax in figure.axes:
        names = {text.get_text(): text.xyann[1] for text in ax.texts}
        assert set(names) == set(COSTS) and len(set(names.values())) == 3
    figure.savefig(tmp_path / 'costs.png')


def test_points_are_paired_differences_over_the_seeds_that_both_have():
    rows = [row('s', 'plain', (0.5, 0.7, 0.9), (0, 1, 2)), row('s', 'slow', (0.8, 0.9, 0.1), (1, 0, 7))]
    plain, slow = cost_points([*rows, row('s', 'unmeasured', (1.0, 1.0))], COSTS, 'a', 'plain')['s']
    assert (plain.method, plain.gain, plain.error, plain.time) == ('plain', 0, 0, 1)
    assert slow.gain == pytest.approx(0.25) and slow.time == 6
    assert slow.error == pytest.approx(0.15)  # of 0.1 and 0.4


def test_several_benchmarks_share_a_picture(tmp_path, monkeypatch):
    for name in ('first', 'second'):
        (tmp_path / name).mkdir()
        write_tables([*ROWS, row('none', 'twin', (1.0, 1.0))], ['a'], tmp_path / name, COSTS)
    rows, costs = read_tables(tmp_path / 'first')
    assert rows[: len(ROWS)] == [replace(row, against={}) for row in ROWS] and costs == COSTS
    out = tmp_path / 'costs.png'
    tool = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'plot_costs.py'
    folders = [tmp_path / 'first', tmp_path / 'second']
    arguments = [*folders, '--metric', 'a', '--baseline', 'plain', '--out', out]
    monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(tool), run_name='__main__')
    assert end.value.code == 0 and out.stat().st_size > 0
