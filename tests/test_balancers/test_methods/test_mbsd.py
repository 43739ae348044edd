"""MBSD: the better modality teaches the other, sample by sample."""

from itertools import combinations

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers.methods.mbsd import distil
from tests.many import many_batches, many_guided
from tests.tiny import batches, build_wrapper, tiny_guided


def formula(first, second, labels):
    """Return the distillation loss, one sample after another."""
    total = 0
    for a, b, y in zip(first, second, labels, strict=True):
        strong, weak = (a, b) if a.softmax(0)[y] >= b.softmax(0)[y] else (b, a)
        if strong.argmax() != y and weak.argmax() != y:
            continue
        p, q = strong.detach().softmax(0), weak.softmax(0)
        weight = (p[y] - q[y]).detach()
        total = total + weight * ((p * (p / q).log()).sum() + ((strong - weak) ** 2).sum() / len(p))
    return total / len(labels)


def test_distillation_is_the_formula():
    torch.manual_seed(0)
    first, second = (torch.randn(40, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    labels = torch.randint(0, 3, (40,))
    found, expected = distil(first, second, labels), formula(first, second, labels)
    torch.testing.assert_close(found, expected)
    for a, b in zip(
        torch.autograd.grad(found, [first, second]),
        torch.autograd.grad(expected, [first, second]),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(distil(second, first, labels), expected)


@pytest.mark.parametrize(('modalities', 'weight'), [(2, 1.0), (3, 0.3), (6, 1.0)])
def test_encoders_get_the_formulas_gradient_and_guides_their_own(modalities, weight):
    guided, (batch,) = many_guided(modalities), many_batches(modalities, 1)
    model, labels = guided.model, batch['label']
    representations = [e(x) for e, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    logits = [guide(h) for guide, h in zip(guided.guides.values(), representations, strict=True)]
    pairs = list(combinations(logits, 2))
    alone = sum(F.cross_entropy(z, labels) for z in logits)
    loss = F.cross_entropy(model.fuse(representations), labels) + alone
    loss = loss + weight * sum(formula(a, b, labels) for a, b in pairs) / len(pairs)
    ours, theirs = list(model.parameters()), list(guided.guides.parameters())
    grads = torch.autograd.grad(loss, ours, retain_graph=True) + torch.autograd.grad(alone, theirs)

    sgd = dict(type='SGD', lr=0.1)
    wrapper = build_wrapper(
        guided, optimizer=sgd, guide_optimizer=sgd, balancer=dict(type='MBSD', weight=weight)
    )
    before = [p.detach().clone() for p in ours + theirs]
    guided.train_step(batch, wrapper)
    for old, new, grad in zip(before, ours + theirs, grads, strict=True):
        torch.testing.assert_close(new, old - 0.1 * grad)


def test_what_it_cannot_do_is_refused():
    guided = tiny_guided()
    with pytest.raises(ValueError, match='no class a sample'):
        guided.train_step(batches(1)[0], build_wrapper(guided, balancer=dict(type='MBSD')))
