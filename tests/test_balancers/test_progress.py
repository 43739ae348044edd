"""Progress strategies against their definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcggm.balancers import LevelProgress, SmoothedProgress, StepProgress
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


def measured(progress, history):
    """Return B after each of the scores ``(T, M)``."""
    terms, state = [], None
    for scores in history:
        delta, state = progress.measure(scores, state)
        terms.append(balancing_terms(delta, tolerance=1e-6)[0])
    return torch.stack(terms)


@given(scores_over_time)
def test_smoothed_progress_is_the_difference_of_two_means_in_units_of_change(history):
    progress = SmoothedProgress(fast=0.9, slow=0.95, floor=1e-9)
    state = None
    for scores in history:
        delta, state = progress.measure(scores, state)
    ages = torch.arange(len(history) - 1, -1, -1, dtype=torch.float64)
    stacked = torch.stack(history)
    changes = stacked.diff(dim=0, prepend=stacked[:1]).abs()

    def mean(values, decay):
        return (decay**ages) @ values / (decay**ages).sum()

    distance = mean(stacked, 0.9) - mean(stacked, 0.95)
    distance[distance.abs() < 1e-13] = 0
    unit = mean(changes, 0.95).mean().clamp(min=torch.finfo(torch.float64).tiny)
    torch.testing.assert_close(delta, (distance / unit).clamp(min=1e-9), atol=1e-9, rtol=1e-6)


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=6),
    st.integers(1, 40),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_scores_that_stand_still_give_the_neutral_term_from_the_first_step_on(scores, steps, dtype):
    terms = measured(SmoothedProgress(), torch.tensor(scores, dtype=dtype).expand(steps, -1))
    torch.testing.assert_close(terms, torch.full_like(terms, (len(scores) - 1) / len(scores)))


@given(st.integers(0, 1000), st.floats(0.1, 0.4), st.floats(0.015, 0.02), st.floats(0, 0.25))
@settings(derandomize=True)
def test_the_faster_of_two_accuracies_gets_the_smaller_term_within_30_steps(seed, start, slope, ratio):
    rise = torch.arange(30.0)[:, None] * slope * torch.tensor([1.0, ratio])
    generator = torch.Generator().manual_seed(seed)
    samples = torch.rand(64, 30, 2, generator=generator)
    accuracies = (samples < start + rise).float().mean(0)
    faster, slower = measured(SmoothedProgress(), accuracies)[-1]
    assert faster < slower


@given(
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-4, 1.0, 1e4]),
    shift=st.floats(-3, 3),
    ratio=st.floats(0, 0.3),
    higher=st.sampled_from([0.0, 4.0]),
)
@settings(derandomize=True)
def test_the_faster_of_two_losses_gets_the_smaller_term_within_30_steps(seed, scale, shift, ratio, higher):
    """Whatever their size and sign, and whichever of them begins higher."""
    rate = 0.08 * torch.tensor([1.0, ratio])
    noise = 0.1 * torch.randn(30, 2, generator=torch.Generator().manual_seed(seed))
    losses = 5 * (-rate * torch.arange(30.0)[:, None]).exp() + noise + shift
    losses += torch.tensor([higher, 4.0 - higher])
    faster, slower = measured(SmoothedProgress(), -scale * losses)[-1]
    assert faster < slower


@given(scores_over_time, st.floats(0.01, 100), st.floats(-10, 10))
def test_terms_of_smoothed_progress_know_neither_unit_nor_zero_of_the_scores(history, scale, shift):
    history = torch.stack(history)
    history = history.round(decimals=3)  # changes far above what shifting rounds
    terms = measured(SmoothedProgress(), history)
    torch.testing.assert_close(measured(SmoothedProgress(), scale * history + shift), terms)


def test_smoothed_progress_ends_where_scores_stop_changing():
    noisy = torch.rand(100, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.2])
    terms = measured(SmoothedProgress(), torch.cat([noisy, noisy[-1:].expand(20_000, -1)]))
    assert terms[-1].tolist() == [0.5, 0.5]


@given(scores_over_time)
def test_smoothed_progress_keeps_terms_between_zero_and_one(history):
    progress, state = SmoothedProgress(), None
    for scores in history:
        delta, state = progress.measure(scores, state)
        terms, _ = balancing_terms(delta, tolerance=1e-6)
        assert (terms >= 0).all() and (terms <= 1).all()


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6, unique=True),
    st.floats(0.1, 100),
    st.floats(-1e3, 1e3),
    st.integers(1, 5),
)
def test_levels_give_the_weaker_modality_the_larger_term(scores, temperature, shift, steps):
    scores = torch.tensor(scores, dtype=torch.float64)
    progress = LevelProgress(temperature=temperature)
    terms = measured(progress, scores.expand(steps, -1))[-1]
    assert (terms >= 0).all() and (terms <= 1).all()
    order = scores.argsort()
    assert (terms[order].diff() <= 0).all()
    shifted = measured(progress, (scores + shift).expand(steps, -1))[-1]
    torch.testing.assert_close(shifted, terms, atol=1e-6, rtol=1e-6)


def test_levels_in_figures():
    terms = measured(LevelProgress(), torch.tensor([[0.75, 0.55], [0.75, 0.55]]))
    torch.testing.assert_close(terms, torch.tensor([[0.4013, 0.5987]] * 2), atol=1e-4, rtol=0)


kinds = pytest.mark.parametrize('kind', [StepProgress, SmoothedProgress, LevelProgress])


@kinds
@pytest.mark.parametrize('absent', [torch.nan, torch.inf, -torch.inf])
def test_a_modality_that_a_batch_lacks_keeps_its_state(kind, absent):
    """Also where the first batch lacks it."""
    progress = kind()
    all_there = torch.tensor([[0.5, 0.1], [0.6, 0.3], [0.7, 0.2]], dtype=torch.float64)
    _, after_first = progress.measure(torch.tensor([absent, 0.1], dtype=torch.float64))
    assert not after_first[:, 0].any()
    state = reference = None
    for scores in all_there:
        _, reference = progress.measure(scores, reference)
        _, state = progress.measure(scores, state)
        delta, state = progress.measure(torch.full_like(scores, absent), state)
        assert delta.isfinite().all()
    assert torch.equal(state, reference)


def test_a_modality_never_seen_is_no_level():
    delta, _ = LevelProgress().measure(torch.tensor([-3.0, -5.0, torch.nan]))
    torch.testing.assert_close(delta, (torch.tensor([-3.0, -5.0, -4.0]) / 0.5).softmax(0))


@kinds
def test_measuring_leaves_the_state_as_it_is(kind):
    state = torch.rand(kind.state_size, 2)
    before = state.clone()
    kind().measure(torch.tensor([0.7, 0.1]), state)
    assert torch.equal(state, before)


@kinds
def test_the_state_of_another_progress_is_refused(kind):
    with pytest.raises(ValueError, match=rf'{kind.__name__} has a state .* has \(9, 2\): resume with'):
        kind().measure(torch.tensor([0.7, 0.1]), torch.zeros(9, 2))


@pytest.mark.parametrize(
    ('kind', 'arguments'),
    [
        (SmoothedProgress, dict(fast=0.99, slow=0.9)),
        (SmoothedProgress, dict(slow=1.0)),
        (SmoothedProgress, dict(floor=0)),
        (LevelProgress, dict(decay=1.0)),
        (LevelProgress, dict(temperature=0)),
    ],
)
def test_bad_arguments_are_refused(kind, arguments):
    with pytest.raises(ValueError, match=f'{kind.__name__} needs'):
        kind(**arguments)
