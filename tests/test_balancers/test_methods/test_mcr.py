"""MCR: encoders raise what permuting their own modality changes, and compete or collaborate."""

import copy

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import MCR
from mmcggm.balancers.methods.mcr import prediction_shift, supervised_contrast
from tests.many import many_batches, many_guided
from tests.streams import Streams, streams_batch, streams_guided
from tests.tiny import attached, balanced_gradients, batches, tiny_guided


def jsd(z, w):
    p, q = z.softmax(1), w.softmax(1)
    m = (p + q) / 2
    return ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)).mean() / 2


@pytest.mark.parametrize('k', [-1.0, 0.0, 0.5])
@pytest.mark.parametrize('count', [2, 3, 6])
def test_gradients_of_competition(count, k):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    model = copy.deepcopy(guided.model)
    torch.manual_seed(3)
    order = torch.randperm(len(batch['label']))
    h = [encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    whole = model.fuse(h)
    losses = [
        -jsd(whole, model.fuse([x[order] if j == i else x for j, x in enumerate(h)])) for i in range(count)
    ]
    model(**batch, mode='loss')['loss'].backward(retain_graph=True)
    for i, encoder in enumerate(model.encoders):
        others = sum(loss for j, loss in enumerate(losses) if j != i) / (count - 1)
        grads = torch.autograd.grad(losses[i] + k * others, encoder.parameters(), retain_graph=True)
        for parameter, grad in zip(encoder.parameters(), grads, strict=True):
            parameter.grad += 3 * grad

    torch.manual_seed(3)
    balancer = attached(MCR(lam_uni=0, lam_mipd=3, lam_con=0, k=k), guided)
    found = balanced_gradients(balancer, guided, batch)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[f'model.{name}'], parameter.grad)
    torch.testing.assert_close(balancer.stats['shift'], -torch.stack(losses).mean().detach())


@pytest.mark.parametrize('count', [2, 3])
def test_gradients_of_the_other_terms(count):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    model, guides = copy.deepcopy(guided.model), copy.deepcopy(guided.guides)
    h = [encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    unimodal = sum(F.cross_entropy(g(x), batch['label']) for g, x in zip(guides.values(), h, strict=True))
    contrast = 0
    for i in range(count):
        for j in range(count):
            for n, label in enumerate(batch['label'] if i != j else []):
                logs = (F.cosine_similarity(h[i][n : n + 1], h[j]) / 0.5).log_softmax(0)
                contrast = contrast - logs[batch['label'] == label].mean()
    contrast = contrast / len(batch['label']) / (count * (count - 1))
    (model(**batch, mode='loss')['loss'] + 0.5 * unimodal + 2 * contrast).backward()
    balancer = attached(MCR(lam_uni=0.5, lam_mipd=0, lam_con=2, temperature=0.5), guided)
    found = balanced_gradients(balancer, guided, batch)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[f'model.{name}'], parameter.grad)


def test_a_shift_is_between_nothing_and_log_two():
    z = torch.eye(3) * 100
    assert prediction_shift(z, z) == 0
    torch.testing.assert_close(prediction_shift(z, z.roll(1, 0)), torch.tensor(2.0).log())


def test_contrast_is_least_where_classes_are_apart():
    labels = torch.tensor([0, 0, 1, 1])
    apart = torch.eye(2)[labels]
    best = supervised_contrast(apart, apart, labels, 0.01)
    torch.testing.assert_close(best, torch.tensor(2.0).log())
    assert supervised_contrast(apart, apart.roll(2, 0), labels, 0.01) > 50


def test_a_modality_that_the_batch_lacks_is_left_out():
    guided, batch = streams_guided(Streams(modalities=3)), streams_batch(modalities=3)
    del batch['x1']
    found = balanced_gradients(attached(MCR(), guided), guided, batch)
    assert found['model.streams.1.0.weight'] is None and found['model.streams.0.0.weight'].any()


def test_what_it_cannot_do_is_refused():
    for bad in (dict(lam_uni=-1), dict(lam_mipd=-1), dict(lam_con=-1), dict(k=2), dict(temperature=0)):
        with pytest.raises(ValueError, match='MCR needs lam_uni'):
            MCR(**bad)
    with pytest.raises(ValueError, match='lam_con=0'):
        supervised_contrast(torch.ones(2, 3), torch.ones(2, 4), torch.zeros(2), 1.0)
    guided = tiny_guided()
    with pytest.raises(ValueError, match='which this balancer needs'):
        balanced_gradients(attached(MCR(), guided), guided, batches(1)[0])
