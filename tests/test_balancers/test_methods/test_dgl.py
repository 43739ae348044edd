"""DGL: encoders learn from unimodal losses alone, fusion from the fused loss alone."""

import copy

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import DGL, Balancer
from tests.many import many_batches, many_guided
from tests.streams import Streams, streams_batch, streams_guided
from tests.tiny import attached, balanced_gradients


def plain_gradients(loss, model, part):
    """Return the gradients of ``loss`` at the parameters whose names begin with ``part``, by name."""
    chosen = {name: p for name, p in model.named_parameters() if name.startswith(part)}
    found = torch.autograd.grad(loss, list(chosen.values()), retain_graph=True)
    return dict(zip(chosen, found, strict=True))


@pytest.mark.parametrize('by', ['guides', 'fusion'])
@pytest.mark.parametrize('count', [2, 3, 6])
def test_each_part_learns_from_its_own_loss(count, by):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    model, guides = copy.deepcopy(guided.model), copy.deepcopy(guided.guides)
    h = [encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    if by == 'guides':
        logits = [guide(x) for guide, x in zip(guides.values(), h, strict=True)]
    else:
        logits = [model.fuse([x if j == i else 0 * x for j, x in enumerate(h)]) for i in range(count)]
    unimodal = sum(F.cross_entropy(z, batch['label']) for z in logits)
    fused = F.cross_entropy(model.fuse(h), batch['label'])
    expected = plain_gradients(3 * unimodal, model, 'encoders') | plain_gradients(fused, model, 'classifier')

    found = balanced_gradients(attached(DGL(alpha=3, by=by), guided), guided, batch)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[f'model.{name}'], gradient)
    plain = many_guided(count)
    unbalanced = balanced_gradients(attached(Balancer(), plain), plain, batch)
    for name, gradient in unbalanced.items():
        if name.startswith('guides'):
            assert torch.equal(found[name], gradient), name


@pytest.mark.parametrize('by', ['guides', 'fusion'])
def test_any_fusion_leaves_encoders_to_the_unimodal_losses(by):
    """Also of feature maps, and where the batch lacks a modality."""
    guided = streams_guided(Streams('conv2d', modalities=3))
    batch = streams_batch('conv2d', modalities=3)
    del batch['x1']
    once, twice = (
        balanced_gradients(attached(DGL(alpha, by), copied), copied, batch)
        for alpha, copied in ((1, copy.deepcopy(guided)), (2, copy.deepcopy(guided)))
    )
    assert once['model.streams.1.0.weight'] is None
    for name, gradient in once.items():
        if name.startswith(('model.streams.0', 'model.streams.2')):
            assert gradient.any()
            torch.testing.assert_close(twice[name], 2 * gradient)
        elif gradient is not None and name.startswith('model.top'):
            assert torch.equal(twice[name], gradient)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match='alpha > 0, got 0'):
        DGL(alpha=0)
    with pytest.raises(ValueError, match="by='guides' or 'fusion', got 'head'"):
        DGL(by='head')
