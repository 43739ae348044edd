"""Where a plot of costs writes the names of methods, and that each is there."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mmcggm.benchmark import Cost, Row
from mmcggm.visualization.cost_plot import draw_costs, spread

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


def test_each_method_of_a_setting_is_named_once(tmp_path):
    costs = {'plain': Cost(1, 1, 1), 'twin': Cost(1, 1, 1), 'slow': Cost(2, 1, 3)}
    rows = [
        Row(setting, method, 'a', (0, 1), (0.5, 0.6), mean, 0.07, math.nan, math.nan)
        for setting in ('clean', 'noisy')
        for method, mean in zip(costs, (0.5, 0.5, 0.55), strict=True)
    ]
    figure = draw_costs(rows, costs, 'a', 'plain')
    assert [ax.get_title(loc='left') for ax in figure.axes] == ['clean', 'noisy']
    for ax in figure.axes:
        names = {text.get_text(): text.xyann[1] for text in ax.texts}
        assert set(names) == set(costs) and len(set(names.values())) == 3
    figure.savefig(tmp_path / 'costs.png')
