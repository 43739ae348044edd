"""OGM against its published definition."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mmcggm.balancers import OGM
from mmcggm.balancers.methods.ogm import ogm_coefficients
from tests.tiny import batches, build_wrapper, classifier_guided


@given(st.floats(0.01, 50), st.floats(0.01, 50), st.floats(0.05, 2))
def test_coefficients_of_two_modalities_are_the_papers(first, second, alpha):
    assume(abs(first / second - 1) > 1e-9)
    found = ogm_coefficients(torch.tensor([first, second], dtype=torch.float64), alpha).tolist()
    ratios = (first / second, second / first)
    expected = [1 - math.tanh(alpha * r) if r > 1 else 1 for r in ratios]
    assert found == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.floats(0.01, 50), min_size=2, max_size=6))
def test_only_modalities_above_the_others_mean_are_slowed(sums):
    sums = torch.tensor(sums, dtype=torch.float64)
    others = (sums.sum() - sums) / (len(sums) - 1)
    assume(((sums / others - 1).abs() > 1e-9).all())
    coefficients = ogm_coefficients(sums, 0.5)
    above = sums > others
    assert torch.equal(coefficients < 1, above) and (coefficients >= 0).all()


@pytest.mark.parametrize('enhance', [False, True])
def test_encoders_are_slowed_by_what_the_guides_say(enhance):
    guided, (batch,) = classifier_guided(), batches(1)
    confidences = [
        guided.guides[m](getattr(guided.model, f'{m}_encoder')(batch[m])).softmax(1)[
            range(16), batch['label']
        ]
        for m in ('left', 'right')
    ]
    sums = torch.stack([c.sum() for c in confidences]).detach()
    loss = guided.model(**batch, mode='loss')['loss']
    plain = torch.autograd.grad(loss, [guided.model.left_encoder.bias, guided.model.right_encoder.bias])
    before = [guided.model.left_encoder.bias.clone(), guided.model.right_encoder.bias.clone()]

    wrapper = build_wrapper(
        guided, optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='OGM', alpha=0.7, enhance=enhance)
    )
    guided.train_step(batch, wrapper)
    coefficients = ogm_coefficients(sums, 0.7)
    torch.testing.assert_close(wrapper.balancer.stats['k'], coefficients)
    after = [guided.model.left_encoder.bias, guided.model.right_encoder.bias]  # one axis: no noise
    for old, new, grad, coefficient in zip(before, after, plain, coefficients, strict=True):
        torch.testing.assert_close(new, old - 0.1 * coefficient * grad)


def test_a_modality_that_the_batch_lacks_is_left_out_of_the_comparison():
    assert ogm_coefficients(torch.tensor([3.0, 0, 0]), 0.5).tolist() == [1, 1, 1]
    with_it, without = (ogm_coefficients(torch.tensor(sums), 0.5)[:2] for sums in ([3.0, 2, 0], [3.0, 2]))
    torch.testing.assert_close(with_it, without)


def test_bad_alpha_is_refused():
    with pytest.raises(ValueError, match='alpha > 0'):
        OGM(alpha=0)
