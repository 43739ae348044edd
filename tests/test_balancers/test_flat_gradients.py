"""Gradients as one vector, and means over the other modalities."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmcggm.balancers.flat_gradients import accumulated, gradient_of
from mmcggm.balancers.scores import mean_of_others
from tests.toy import Shown


def test_a_flat_gradient_is_that_of_backward_and_leaves_the_graph():
    layer, unused = nn.Linear(3, 2), nn.Parameter(torch.ones(4))
    loss = layer(torch.randn(5, 3)).square().sum()
    parameters = [layer.weight, unused, layer.bias]
    found = gradient_of(Shown(loss), loss, parameters)
    loss.backward()
    torch.testing.assert_close(
        found, torch.cat([layer.weight.grad.flatten(), torch.zeros(4), layer.bias.grad])
    )
    assert torch.equal(accumulated(parameters, loss), found) and not found.requires_grad


def test_of_no_parameters_it_is_empty_and_of_the_kind_of_the_loss():
    loss = torch.ones((), dtype=torch.float64, requires_grad=True)
    found = gradient_of(Shown(loss), loss, [])
    assert found.shape == (0,) and found.dtype == torch.float64


@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=2, max_size=6))
def test_the_mean_of_others_is_that_of_those_that_count(entries):
    counted = torch.tensor([c for _, c in entries])
    values = torch.tensor([v for v, _ in entries], dtype=torch.float64) * counted
    found = mean_of_others(values, counted).tolist()
    for index, mean in enumerate(found):
        others = [v for j, (v, c) in enumerate(entries) if c and j != index]
        assert mean == pytest.approx(sum(others) / len(others) if others else 0, abs=1e-9)
    everyone = torch.tensor([v for v, _ in entries], dtype=torch.float64)
    assert torch.equal(mean_of_others(everyone), mean_of_others(everyone, torch.ones(len(entries)).bool()))
