"""MIMO: the smoothed largest of the unimodal losses is a part of the loss."""

import copy

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import MIMO
from tests.many import many_batches, many_guided
from tests.tiny import attached, balanced_gradients
from tests.toy import Shown


@pytest.mark.parametrize('mu', [0.1, 1.0, 20.0])
@pytest.mark.parametrize('count', [2, 3, 6])
def test_gradients_are_those_of_the_smooth_maximum(count, mu):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    model, guides = copy.deepcopy(guided.model), copy.deepcopy(guided.guides)
    parts = zip(guides.values(), model.encoders, batch['x'].unbind(1), strict=True)
    losses = torch.stack([F.cross_entropy(guide(encoder(x)), batch['label']) for guide, encoder, x in parts])
    penalty = 0.7 / mu * (mu * losses).exp().sum().log()
    (model(**batch, mode='loss')['loss'] + penalty).backward()

    balancer = attached(MIMO(lam=0.7, mu=mu), guided)
    found = balanced_gradients(balancer, guided, batch)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[f'model.{name}'], parameter.grad)
    torch.testing.assert_close(balancer.stats['weight'], (mu * losses).softmax(0).detach())


def term(mu, losses):
    balancer = attached(MIMO(mu=mu), many_guided(len(losses)))
    return balancer.see(Shown(unimodal_losses=losses)), balancer.stats['weight']


def test_from_the_mean_to_the_worst():
    losses = [torch.tensor(x, dtype=torch.float64) for x in (1.0, 3.0, 2.0)]
    value, weights = term(1e3, losses)
    torch.testing.assert_close(value, losses[1])
    assert weights.tolist() == [0, 1, 0]
    _, weights = term(1e-9, losses)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 3))


def test_a_modality_that_the_batch_lacks_has_no_weight():
    losses = [torch.tensor(1.0), None, torch.tensor(1.0)]
    value, weights = term(1.0, losses)
    torch.testing.assert_close(value, 1 + torch.tensor(2.0).log())
    assert weights.tolist() == [0.5, 0, 0.5]


def test_what_it_cannot_do_is_refused():
    for bad in (dict(lam=0), dict(mu=-1)):
        with pytest.raises(ValueError, match='lam > 0 and mu > 0'):
            MIMO(**bad)
