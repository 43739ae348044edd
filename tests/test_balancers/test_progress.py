"""Progress strategies against their definitions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import SmoothedProgress, StepProgress
from mmcggm.balancers.cggm_formulas import balancing_terms

scores_over_time = st.lists(
    st.lists(st.floats(0, 1), min_size=3, max_size=3).map(lambda s: torch.tensor(s, dtype=torch.float64)),
    min_size=1,
    max_size=20,
)


@given(scores_over_time)
def test_step_progress_sums_to_the_last_score(history):
    progress, state, total = StepProgress(), None, torch.zeros(3, dtype=torch.float64)
    for scores in history:
        delta, state = progress.measure(scores, state)
        total += delta
    torch.testing.assert_close(total, history[-1])


@given(scores_over_time)
def test_smoothed_progress_is_the_difference_of_two_means(history):
    progress = SmoothedProgress(fast=0.9, slow=0.95, floor=1e-9)
    state = None
    for scores in history:
        delta, state = progress.measure(scores, state)
    ages = torch.arange(len(history) - 1, -1, -1, dtype=torch.float64)
    stacked = torch.stack(history)
    fast, slow = ((1 - d) * (d**ages) @ stacked for d in (0.9, 0.95))
    torch.testing.assert_close(delta, (fast - slow).clamp(min=1e-9))


@given(scores_over_time)
def test_smoothed_progress_keeps_terms_between_zero_and_one(history):
    progress, state = SmoothedProgress(), None
    for scores in history:
        delta, state = progress.measure(scores, state)
        terms, _ = balancing_terms(delta, tolerance=1e-6)
        assert (terms >= 0).all() and (terms <= 1).all()


def test_measuring_leaves_the_state_as_it_is():
    state = torch.tensor([[0.5, 0.2]])
    StepProgress().measure(torch.tensor([0.7, 0.1]), state)
    assert torch.equal(state, torch.tensor([[0.5, 0.2]]))


@pytest.mark.parametrize('arguments', [dict(fast=0.99, slow=0.9), dict(slow=1.0), dict(floor=0)])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match='SmoothedProgress needs'):
        SmoothedProgress(**arguments)
