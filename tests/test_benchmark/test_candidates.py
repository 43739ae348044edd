"""Which candidates a search tries, and which wins."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmcggm.benchmark.candidates import best_candidate, candidates

CFG = Config(dict(optim_wrapper=dict(lr=0.1, alpha=2)))
SPACE = {'optim_wrapper.lr': [0.1, 0.2, 0.4], 'optim_wrapper.alpha': [1, 2]}


@given(st.integers(1, 10))
def test_candidates_are_the_config_and_different_points_of_the_product(budget):
    found = candidates(CFG, SPACE, budget)
    assert found[0] == {} and len(found) == min(budget, 6)
    product = [dict(zip(SPACE, values, strict=True)) for values in itertools.product(*SPACE.values())]
    product.remove({'optim_wrapper.lr': 0.1, 'optim_wrapper.alpha': 2})  # the config as it is
    assert all(overrides in product for overrides in found[1:])
    assert len({tuple(overrides.items()) for overrides in found}) == len(found)


def test_a_larger_budget_adds_to_a_smaller_one():
    assert candidates(CFG, SPACE, 5)[:3] == candidates(CFG, SPACE, 3)


@pytest.mark.parametrize('values', [[], 0.1, 'ab'])
def test_a_key_needs_values(values):
    with pytest.raises(ValueError, match=r"'optim_wrapper\.lr' must be a list of values"):
        candidates(CFG, {'optim_wrapper.lr': values}, 3)


def test_best_candidate_has_the_best_mean_over_all_seeds():
    scores = {0: [0.5, 0.6], 1: [0.7, 0.5], 2: [0.99]}  # a seed of the last one failed
    assert best_candidate(scores, 'greater') == 1
    assert best_candidate(scores, 'less') == 0
    assert best_candidate({0: [0.5], 1: [0.5]}, 'greater') == 0


def test_a_key_that_nothing_reads_is_named():
    with pytest.raises(ValueError, match=r"`space` names 'optim_wraper\.lr', but nothing reads"):
        candidates(CFG, {'optim_wraper.lr': [1]}, 3)
