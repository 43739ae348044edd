"""A loss that is differentiated once gives each who asks the gradients of the plain one."""

import copy

import pytest
import torch
from torch import nn

from mmcggm.balancers import differentiated_once


@pytest.fixture
def guide():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def loss_of(guide: nn.Module) -> torch.Tensor:
    x = torch.arange(8.0, dtype=torch.double).view(2, 4)
    return nn.functional.cross_entropy(guide(x), torch.tensor([0, 2]))


@pytest.mark.parametrize('scales', [(1.0, 1.0), (1024.0, 1024.0), (1.0, 0.25), (8.0, 0.0)])
def test_every_request_gets_the_gradients(guide, scales):
    plain, first, second = copy.deepcopy(guide), *scales
    loss = differentiated_once(loss_of(guide), guide.parameters())
    (early,) = torch.autograd.grad(first * loss, guide[2].weight, retain_graph=True)
    (second * loss).backward()

    expected = loss_of(plain)
    torch.testing.assert_close(loss, expected)
    (grad,) = torch.autograd.grad(expected, plain[2].weight, retain_graph=True)
    torch.testing.assert_close(early, first * grad)
    (second * expected).backward()
    for p, q in zip(guide.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


def test_the_graph_is_run_once(guide):
    runs = []

    def watch(module, inputs, output):
        output.register_hook(runs.append)

    handle = guide[1].register_forward_hook(watch)
    loss = differentiated_once(loss_of(guide), guide.parameters())
    handle.remove()
    torch.autograd.grad(loss, guide[2].weight, retain_graph=True)
    torch.autograd.grad(loss, guide[0].weight, retain_graph=True)
    loss.backward()
    assert len(runs) == 1


def test_frozen_and_unused_parameters(guide):
    guide[0].requires_grad_(False)
    unused = nn.Parameter(torch.ones(2))
    loss = differentiated_once(loss_of(guide), [*guide.parameters(), unused])
    loss.backward()
    assert guide[0].weight.grad is None and guide[2].weight.grad is not None
    assert unused.grad.tolist() == [0, 0]
    guide.requires_grad_(False)
    assert not differentiated_once(loss_of(guide), guide.parameters()).requires_grad


def test_nothing_else_gets_a_gradient(guide):
    other = nn.Parameter(torch.ones((), dtype=torch.double))
    differentiated_once(other * loss_of(guide), guide.parameters()).backward()
    assert other.grad is None and guide[0].weight.grad is not None
