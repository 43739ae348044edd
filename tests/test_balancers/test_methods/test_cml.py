"""CML: confidence that rises when a modality goes is punished."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import CML
from mmcggm.balancers.methods.cml import confidence_rises
from tests.many import many_batches, many_guided
from tests.tiny import batches, build_wrapper, tiny_guided


def test_only_a_rise_that_mends_nothing_counts():
    labels = torch.tensor([0, 0, 0, 0])
    before = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    after = torch.tensor([[2.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])  # mended, a fall, a rise, a rise
    high = after.softmax(1).amax(1) - before.softmax(1).amax(1)
    expected = torch.stack([torch.zeros(()), torch.zeros(()), high[2], high[3]])
    torch.testing.assert_close(confidence_rises(after, before, labels), expected)


@pytest.mark.parametrize('modalities', [2, 3, 6])
def test_the_gradient_is_that_of_the_formula(modalities):
    guided, (batch,) = many_guided(modalities), many_batches(modalities, 1)
    model, labels = guided.model, batch['label']
    torch.manual_seed(3)
    order = torch.randperm(modalities).tolist()

    representations = [e(x) for e, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    chain = []
    for removed in range(modalities):
        gone = order[:removed]
        chain.append(model.fuse([h * 0 if i in gone else h for i, h in enumerate(representations)]))
    expected = sum(F.cross_entropy(logits, labels) for logits in chain) / modalities
    for before, after in pairwise(chain):
        (old, old_class), (new, new_class) = before.softmax(1).max(1), after.softmax(1).max(1)
        counted = ~((new_class == labels) & (old_class != labels))
        expected = expected + 2.5 * ((new - old).clamp(min=0) * counted).mean()
    parameters = list(model.parameters())
    grads = torch.autograd.grad(expected, parameters)

    wrapper = build_wrapper(guided, optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='CML', lam=2.5))
    before = [p.detach().clone() for p in parameters]
    torch.manual_seed(3)
    guided.train_step(batch, wrapper)
    for old, new, grad in zip(before, parameters, grads, strict=True):
        torch.testing.assert_close(new, old - 0.1 * grad)


def mean_rise(model, batch):
    """Return how much more confident the model is, on average, without one of two modalities."""
    left, right = (e(x) for e, x in zip(model.encoders, batch['x'].unbind(1), strict=True))
    full, *alone = (
        model.fuse([first, second]).softmax(1).amax(1)
        for first, second in ((left, right), (left, right * 0), (left * 0, right))
    )
    return sum((one - full).clamp(min=0).mean().item() for one in alone)


def test_training_makes_rises_smaller():
    found = {}
    for lam in (0.0, 3.0):
        torch.manual_seed(0)
        guided, (batch,) = many_guided(2), many_batches(2, 1, size=64)
        wrapper = build_wrapper(guided, balancer=dict(type='CML', lam=lam))
        for _ in range(100):
            guided.train_step(batch, wrapper)
        found[lam] = mean_rise(guided.model, batch)
    assert found[3.0] < 0.5 * found[0.0]


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match='lam >= 0'):
        CML(lam=-1)
    guided = tiny_guided()
    with pytest.raises(ValueError, match='no class a sample'):
        guided.train_step(batches(1)[0], build_wrapper(guided, balancer=dict(type='CML')))


def test_inactive_it_costs_nothing():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    wrapper = build_wrapper(guided, balancer=dict(type='CML'))
    wrapper.balancer.active = False
    calls = []
    guided.model.register_forward_hook(lambda *args: calls.append(1))
    guided.train_step(batch, wrapper)
    assert len(calls) == 1
