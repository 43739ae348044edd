"""Shapley values against their axioms and their definition by orders of joining."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers.coalitions import coalitions, masking, shapley_values


@st.composite
def games(draw):
    count = draw(st.integers(1, 5))
    numbers = draw(st.lists(st.floats(-10, 10), min_size=2**count, max_size=2**count))
    values = {
        c: torch.tensor(x, dtype=torch.float64) for c, x in zip(coalitions(count), numbers, strict=True)
    }
    return count, values


def test_coalitions_are_all_subsets_smaller_first():
    found = coalitions(3)
    assert found[0] == frozenset() and found[-1] == {0, 1, 2}
    assert len(set(found)) == 8 and [len(c) for c in found] == sorted(len(c) for c in found)


@given(games())
def test_contributions_are_means_over_the_orders_of_joining(game):
    count, values = game
    expected = torch.zeros(count, dtype=torch.float64)
    orders = list(permutations(range(count)))
    for order in orders:
        for place, index in enumerate(order):
            before = frozenset(order[:place])
            expected[index] += (values[before | {index}] - values[before]) / len(orders)
    torch.testing.assert_close(shapley_values(values), expected)


@given(games())
def test_contributions_sum_to_the_total(game):
    count, values = game
    total = values[frozenset(range(count))] - values[frozenset()]
    torch.testing.assert_close(shapley_values(values).sum(), total)


def test_what_adds_nothing_contributes_nothing_and_equals_contribute_equally():
    values = {c: float(len(c & {0, 1}) == 2) for c in coalitions(3)}  # 0 and 1 together, 2 is idle
    torch.testing.assert_close(shapley_values(values), torch.tensor([0.5, 0.5, 0]))


def test_six_independent_modalities_contribute_what_they_are_worth():
    worth = torch.tensor([1.0, 2, 3, 4, 5, 6])
    values = {c: worth[list(c)].sum() for c in coalitions(6)}
    torch.testing.assert_close(shapley_values(values), worth)


def test_values_may_be_tensors_with_a_graph():
    values = {c: torch.randn(4, 3, requires_grad=True) for c in coalitions(2)}
    contributions = shapley_values(values)
    assert contributions.shape == (2, 4, 3)
    contributions[0].sum().backward()
    for coalition, sign in (({0}, 1), ({1}, -1), ({0, 1}, 1), (set(), -1)):
        torch.testing.assert_close(values[frozenset(coalition)].grad, torch.full((4, 3), 0.5 * sign))


def test_masking_silences_those_outside():
    changes = masking(frozenset({1}), 3)
    assert set(changes) == {0, 2} and not changes[0](torch.ones(2)).any()


def test_incomplete_values_are_refused():
    with pytest.raises(ValueError, match=r'lacks \[\[\]\]'):
        shapley_values({frozenset({0}): 1.0, frozenset({1}): 1.0, frozenset({0, 1}): 2.0})
