"""AMCo: the modality that the others lean on loses features."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import AMCo
from mmcggm.balancers.methods.amco import mask_features, shares
from tests.many import many_batches, many_guided
from tests.tiny import attached_wrapper, batches, build_wrapper, tiny_guided, weights


@pytest.mark.parametrize('modalities', [2, 3, 6])
def test_shares_are_blocks_of_the_softmax_over_all_logits(modalities):
    logits = [torch.randn(5, 4) for _ in range(modalities)]
    blocks = torch.cat(logits, 1).softmax(1).view(5, modalities, 4).sum(2)
    torch.testing.assert_close(shares(logits), blocks.T)
    torch.testing.assert_close(shares([None, *logits])[0], torch.zeros(5))
    torch.testing.assert_close(shares([None, *logits])[1:], blocks.T)


@given(st.floats(0, 1), st.sampled_from([((4, 10), 1), ((4, 3, 10), 2), ((4, 10, 3, 2), 1)]))
def test_a_part_of_the_channels_is_zero(part, case):
    shape, axis = case
    x = torch.ones(shape)
    masked = mask_features(x, torch.tensor(True), part)
    channels = masked.movedim(axis, 0).flatten(1)
    assert (channels == 0).all(1).sum() == int(part * 10)
    assert ((channels == 0).all(1) | (channels == 1).all(1)).all()
    assert torch.equal(mask_features(x, torch.tensor(False), part), x)


def strong_first(modalities):
    """Return a guided model whose first guide is sure of itself."""
    guided = many_guided(modalities)
    with torch.no_grad():
        guided.guides['m0'].layer.bias.add_(torch.tensor([0.0, 0.0, 8.0]))
    return guided


@pytest.mark.parametrize('modalities', [2, 3, 6])
def test_the_leading_modality_is_masked_in_the_next_step(modalities):
    guided, (first, second) = strong_first(modalities), many_batches(modalities, 2)
    settings = dict(optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='AMCo', eps=0.4))
    wrapper = attached_wrapper(guided, progress=0.2, **settings)
    balancer = wrapper.balancer
    guided.train_step(first, wrapper)
    part = math.sin(math.pi / 4)
    expected = torch.zeros(modalities)
    expected[0] = part
    torch.testing.assert_close(balancer.stats['masked'], expected)

    # The second step is that of a model whose first representation lost these channels.
    model, reference = guided.model, copy.deepcopy(guided)
    torch.manual_seed(5)
    kept = (torch.randperm(8) >= int(part * 8)).float()
    representations = [e(x) for e, x in zip(model.encoders, second['x'].unbind(1), strict=True)]
    logits = model.fuse([representations[0] * kept, *representations[1:]])
    loss = torch.nn.functional.cross_entropy(logits, second['label'])
    for h, guide in zip(representations, reference.guides.values(), strict=True):
        loss = loss + torch.nn.functional.cross_entropy(guide(h), second['label'])
    parameters = list(model.parameters())
    grads = torch.autograd.grad(loss, parameters)
    before = [p.detach().clone() for p in parameters]
    torch.manual_seed(5)
    guided.train_step(second, wrapper)
    for old, new, grad in zip(before, parameters, grads, strict=True):
        torch.testing.assert_close(new, old - 0.1 * grad)


def test_fully_masked_it_is_measured_as_nothing_and_freed():
    guided, data = strong_first(2), many_batches(2, 2)
    with torch.no_grad():
        guided.guides['m1'].layer.bias.add_(torch.tensor([0.0, 0.0, 4.0]))
    wrapper = attached_wrapper(guided, progress=1.0, balancer=dict(type='AMCo'))
    masked = []
    for batch in data:
        guided.train_step(batch, wrapper)
        masked.append(wrapper.balancer.stats['masked'].tolist())
    assert masked == [[1.0, 0.0], [0.0, 1.0]]


def test_state_goes_on_and_an_overflow_leaves_no_trace():
    guided, data = strong_first(3), many_batches(3, 3)
    wrapper = attached_wrapper(guided, progress=0.1, balancer=dict(type='AMCo'))
    guided.train_step(data[0], wrapper)
    resumed = copy.deepcopy(guided)
    resumed_wrapper = attached_wrapper(resumed, progress=0.1, balancer=dict(type='AMCo'))
    resumed_wrapper.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for model, its in ((guided, wrapper), (resumed, resumed_wrapper)):
        torch.manual_seed(0)
        model.train_step(data[1], its)
    assert torch.equal(weights(guided), weights(resumed))

    balancer = wrapper.balancer
    state = balancer.state_dict()['masked'].clone()
    with torch.no_grad():
        guided.guides['m2'].layer.bias.add_(torch.tensor([99.0, 0.0, 0.0]))  # it would be masked
    guided(**data[2], mode='loss')
    balancer.see(guided.take_pass())
    balancer.finish_update(torch.ones(()))
    assert torch.equal(balancer.state_dict()['masked'], state)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match='0 < sigma < 1'):
        AMCo(sigma=1)
    guided = tiny_guided()
    with pytest.raises(ValueError, match='no class a sample'):
        guided.train_step(batches(1)[0], build_wrapper(guided, balancer=dict(type='AMCo')))


@pytest.mark.parametrize(('modalities', 'sigma'), [(2, 0.49), (3, 0.3), (6, 0.15)])
def test_a_sigma_that_would_mask_all_modalities_is_refused(modalities, sigma):
    with pytest.raises(ValueError, match=rf'AMCo has sigma={sigma}, which is below 1 / {modalities}: equal'):
        attached_wrapper(many_guided(modalities), balancer=dict(type='AMCo', sigma=sigma))
    attached_wrapper(many_guided(modalities), balancer=dict(type='AMCo', sigma=1 / modalities))
