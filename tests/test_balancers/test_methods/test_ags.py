"""AGS: encoders with larger gradients than the others are slowed."""

import copy
from math import tanh

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcggm.balancers import AGS, Balancer
from mmcggm.balancers.methods.ags import ags_coefficients
from tests.many import many_batches, many_guided
from tests.tiny import attached, balanced_gradients

sizes = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=6)


@settings(max_examples=40)
@given(sizes, st.floats(0.01, 5), st.booleans(), st.floats(1e-2, 1e2))
def test_coefficients_are_bounded_and_know_no_units(found, alpha, largest, unit):
    sizes = torch.tensor(found, dtype=torch.float64)
    c = ags_coefficients(sizes, alpha, largest)
    assert (c >= 1 - tanh(alpha) - 1e-12).all() and (c <= 1).all()
    assert c[sizes.argmin()] == 1
    slowed = c < 1
    assert (c[slowed] <= 1 - tanh(alpha / 2) + 1e-12).all()
    torch.testing.assert_close(ags_coefficients(2.0**6 * sizes, alpha, largest), c)  # rounds nothing
    if largest:
        assert sizes[slowed].unique().numel() <= 1
    if sizes.max() > 1.001 * sizes.min():
        assert c[sizes.argmax()] < 1


def test_coefficients_of_the_authors_formula():
    """A reading of the authors' code, by hand, on three sizes of which two are above the others' mean."""
    a, b = 1 - tanh(0.5 * 4 / (4 + 2.0)), 1 - tanh(0.5 * 3 / (3 + 2.5))
    torch.testing.assert_close(ags_coefficients(torch.tensor([4.0, 1, 3]), 0.5), torch.tensor([a, 1, b]))
    torch.testing.assert_close(
        ags_coefficients(torch.tensor([4.0, 1, 3]), 0.5, largest=True), torch.tensor([a, 1, 1])
    )


@pytest.mark.parametrize('count', [2, 3, 6])
def test_encoders_are_scaled_by_their_gradients_sizes(count):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    plain = copy.deepcopy(guided)
    expected = balanced_gradients(attached(Balancer(), plain), plain, batch)
    names = [(f'model.encoders.{i}.weight', f'model.encoders.{i}.bias') for i in range(count)]
    found = [((expected[w].norm() ** 2 + expected[b].norm() ** 2) / 2).sqrt().item() for w, b in names]
    scaled = balanced_gradients(attached(AGS(alpha=2), guided), guided, batch)
    for own, pair in zip(found, names, strict=True):
        others = (sum(found) - own) / (count - 1)
        scale = 1 - tanh(2 * (own / others) / (1 + own / others)) if own > others else 1
        for name in pair:
            torch.testing.assert_close(scaled[name], scale * expected.pop(name))
    for name, gradient in expected.items():
        torch.testing.assert_close(scaled[name], gradient)


def test_an_encoder_without_gradients_is_left_out():
    found = ags_coefficients(torch.tensor([0.0, 1.0, 3.0]), 1.0)
    torch.testing.assert_close(found, torch.tensor([1, 1, 1 - tanh(3 / 4)]))
    assert ags_coefficients(torch.tensor([0.0, 1.0]), 1.0).tolist() == [1, 1]


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match='alpha > 0, got 0'):
        AGS(alpha=0)
    with pytest.raises(ValueError, match="slow='above' or 'largest', got 'max'"):
        AGS(slow='max')
