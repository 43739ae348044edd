"""MLB: multi-loss whose encoders' gradients are scaled by how far the others are ahead."""

import copy
from math import tanh

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import MLB, MultiLoss
from mmcggm.balancers.methods.mlb import mlb_coefficients
from tests.many import many_batches, many_guided
from tests.tiny import attached, balanced_gradients
from tests.toy import Shown

positive = st.floats(0.01, 10)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=6), positive, st.floats(1, 5))
def test_coefficients_are_bounded_and_rise_with_the_others_lead(ratios, alpha, beta):
    ratios = torch.tensor(sorted(ratios), dtype=torch.float64)
    found = mlb_coefficients(ratios, alpha, beta)
    assert (found >= 1 - tanh(alpha) - 1e-12).all() and (found <= beta + 1e-12).all()
    assert (found.diff() >= 0).all()
    assert ((found >= 1) == (ratios >= 1)).all() or ((ratios - 1).abs() < 1e-9).any()


def test_coefficients_of_the_authors_formula():
    found = mlb_coefficients(torch.tensor([0.5, 1.0, 2.0]), alpha=0.8, beta=2.0)
    torch.testing.assert_close(found, torch.tensor([1 + tanh(-0.4), 1.0, 1 + tanh(0.8)]))
    found = mlb_coefficients(torch.tensor([0.5, 2.0]), alpha=0.8, beta=4.0)
    torch.testing.assert_close(found, torch.tensor([1 + tanh(-0.4), 1 + 3 * tanh(0.8)]))


@pytest.mark.parametrize('by', ['confidence', 'loss'])
@pytest.mark.parametrize('count', [2, 3, 6])
def test_gradients_are_those_of_multi_loss_scaled(count, by):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    plain, model, guides = copy.deepcopy(guided), guided.model, guided.guides
    with torch.no_grad():
        parts = zip(guides.values(), model.encoders, batch['x'].unbind(1), strict=True)
        logits = [guide(encoder(x)) for guide, encoder, x in parts]
        if by == 'confidence':
            values = [z.softmax(1)[range(len(z)), batch['label']].mean().item() for z in logits]
        else:
            values = [F.cross_entropy(z, batch['label']).item() for z in logits]
    expected = balanced_gradients(attached(MultiLoss(0.5), plain), plain, batch)
    balancer = attached(MLB(alpha=2, beta=3, weight=0.5, by=by), guided)
    found = balanced_gradients(balancer, guided, batch)
    for i, own in enumerate(values):
        others = (sum(values) - own) / (count - 1)
        ratio = others / own if by == 'confidence' else own / others
        scale = 1 + (2 if ratio > 1 else 1) * tanh(2 * (ratio - 1))
        name = f'model.encoders.{i}.weight'
        torch.testing.assert_close(found[name], scale * expected[name])
    for name in ('model.classifier.weight', 'guides.m0.layer.weight'):
        torch.testing.assert_close(found[name], expected[name])


def test_a_modality_that_the_batch_lacks_is_left_out():
    guided = many_guided(3)
    balancer = attached(MLB(alpha=1), guided)
    seen = Shown(confidences=[torch.tensor([0.2, 0.2]), None, torch.tensor([0.4, 0.4])])
    found = balancer.factors(seen)
    torch.testing.assert_close(found, torch.tensor([1 + tanh(1), 1.0, 1 + tanh(-0.5)]))


def test_what_it_cannot_do_is_refused():
    for bad, match in (
        (dict(alpha=0), 'alpha > 0'),
        (dict(beta=0.5), 'beta >= 1'),
        (dict(weight=-1), 'weight >= 0'),
        (dict(by='accuracy'), "by='confidence' or 'loss'"),
    ):
        with pytest.raises(ValueError, match=match):
            MLB(**bad)
