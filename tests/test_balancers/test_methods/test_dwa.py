"""DWA: the published weights, and the loss that they make."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import DWA
from mmcggm.balancers.methods.dwa import dwa_weights
from tests.many import many_batches, many_guided
from tests.tiny import attached, balanced_gradients
from tests.toy import Shown

LOSSES = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)), min_size=3, max_size=6)


@given(LOSSES, st.floats(0.5, 5))
def test_weights_are_the_papers(losses, temperature):
    last, before = (torch.tensor(column, dtype=torch.float64) for column in zip(*losses, strict=True))
    ratios = [a / b for a, b in losses]
    top = max(ratios)
    exponentials = [math.exp((ratio - top) / temperature) for ratio in ratios]
    expected = [len(losses) * value / sum(exponentials) for value in exponentials]
    assert dwa_weights(last, before, temperature).tolist() == pytest.approx(expected)


def test_a_loss_that_falls_more_slowly_counts_more():
    last, before = torch.tensor([1.0, 0.5, 0.9]), torch.tensor([1.0, 1.0, 1.0])
    weights = dwa_weights(last, before, 2.0)
    assert weights[0] > weights[2] > weights[1]
    assert torch.equal(dwa_weights(torch.zeros(3), before, 2.0), torch.ones(3))
    assert torch.equal(dwa_weights(before, torch.zeros(3), 2.0), torch.ones(3))


def test_the_loss_is_the_weighted_sum_of_the_epochs_before():
    guided = many_guided(2)
    balancer = attached(DWA(temperature=1.0), guided)

    def see(task, *alone):
        shown = Shown(
            torch.tensor(task), unimodal_losses=[None if x is None else torch.tensor(x) for x in alone]
        )
        term = balancer.see(shown)
        balancer.finish_update()
        return float(term)

    assert see(4.0, 2.0, 8.0) == pytest.approx(10.0)  # all weights are 1
    assert see(2.0, 2.0, None) == pytest.approx(2.0)
    balancer.end_epoch()
    assert see(1.0, 1.0, 8.0) == pytest.approx(9.0)  # there is no epoch before the last
    balancer.end_epoch()
    weights = dwa_weights(torch.tensor([1.0, 1.0, 8.0]), torch.tensor([3.0, 2.0, 8.0]), 1.0).tolist()
    expected = weights[0] * 5 + weights[1] * 6 + weights[2] * 7 - 5
    assert see(5.0, 6.0, 7.0) == pytest.approx(expected, rel=1e-6)


def test_at_first_it_is_multi_loss():
    guided, (batch,) = many_guided(3), many_batches(3, 1)
    found = balanced_gradients(attached(DWA(), guided), guided, batch)
    model = guided.model
    parts = list(zip(guided.guides.values(), model.encoders, batch['x'].unbind(1), strict=True))
    alone = sum(F.cross_entropy(guide(encoder(x)), batch['label']) for guide, encoder, x in parts)
    loss = model(**batch, mode='loss')['loss'] + alone
    expected = torch.autograd.grad(loss, list(model.parameters()))
    for (name, _), gradient in zip(model.named_parameters(), expected, strict=True):
        torch.testing.assert_close(found[f'model.{name}'], gradient)


def test_a_temperature_out_of_range_is_refused():
    with pytest.raises(ValueError, match='DWA needs temperature > 0, got 0'):
        DWA(temperature=0)
