"""DataRemixing: each sample teaches the one modality that is least sure of it."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import DataRemixing, MultiLoss
from mmcggm.balancers.methods.data_remixing import owners
from tests.many import many_batches, many_guided
from tests.streams import Streams, streams_batch, streams_guided
from tests.tiny import attached, balanced_gradients, batches, tiny_guided

numbers = st.floats(-5, 5)


@settings(max_examples=40)
@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=2, max_size=5))
def test_a_sample_belongs_to_the_prediction_nearest_to_uniform(logits):
    """As the authors' code has it: of the least divergence from the uniform distribution."""
    found = owners([torch.tensor([z], dtype=torch.float64) for z in logits])
    p = torch.tensor(logits, dtype=torch.float64).softmax(1)
    divergences = (p * (3 * p).log2()).sum(1)
    assert found.shape == (len(logits), 1) and found.sum() == 1
    assert divergences[found[:, 0]].item() == pytest.approx(divergences.min().item(), abs=1e-9)


@pytest.mark.parametrize('count', [2, 3, 6])
def test_an_update_is_that_of_the_divided_batch(count):
    guided, (batch,) = many_guided(count), many_batches(count, 1, size=32)
    model, guides = copy.deepcopy(guided.model), copy.deepcopy(guided.guides)
    h = [encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    own = torch.stack([guide(x) for guide, x in zip(guides.values(), h, strict=True)])
    p = own.softmax(2)
    owner = (p * (3 * p).log()).sum(2).argmin(0)
    assert owner.unique().numel() == count or count == 6
    losses = []
    for n, i in enumerate(owner.tolist()):  # one sample after the other, in a model of its modality alone
        label = batch['label'][n : n + 1]
        alone = model.fuse([x[n : n + 1] * (j == i) for j, x in enumerate(h)])
        losses.append(F.cross_entropy(alone, label) + 0.7 * F.cross_entropy(own[i, n : n + 1], label))
    torch.stack(losses).mean().backward()

    balancer = attached(DataRemixing(gamma=0.7, warmup=0), guided)
    found = balanced_gradients(balancer, guided, batch)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[f'model.{name}'], parameter.grad)
    shares = torch.bincount(owner, minlength=count) / 32
    torch.testing.assert_close(balancer.stats['share'], shares)


def test_the_warm_up_is_multi_loss():
    guided, (batch,) = many_guided(3), many_batches(3, 1)
    plain = copy.deepcopy(guided)
    expected = balanced_gradients(attached(MultiLoss(0.5), plain), plain, batch)
    balancer = attached(DataRemixing(warmup=0.2), guided)
    balancer.clock.progress = 0.19
    for name, gradient in balanced_gradients(balancer, guided, batch).items():
        torch.testing.assert_close(gradient, expected[name])
    balancer.clock.progress = 0.2
    found = balanced_gradients(balancer, guided, batch)
    assert not torch.allclose(found['model.encoders.0.weight'], expected['model.encoders.0.weight'])


def test_a_modality_that_the_batch_lacks_gets_no_sample():
    assert owners([torch.tensor([[9.0, 0.0]]), None, torch.tensor([[1.0, 0.0]])]).tolist() == [[0], [0], [1]]
    guided, batch = streams_guided(Streams(modalities=3)), streams_batch(modalities=3, size=30)
    del batch['x1']
    balancer = attached(DataRemixing(warmup=0), guided)
    found = balanced_gradients(balancer, guided, batch)
    assert found['model.streams.1.0.weight'] is None and found['model.streams.0.0.weight'].any()
    assert balancer.stats['share'][1] == 0 and balancer.stats['share'].sum() == 1


def test_what_it_cannot_do_is_refused():
    for bad in (dict(gamma=-1), dict(alpha=-1), dict(warmup=2)):
        with pytest.raises(ValueError, match=r'warmup in \[0, 1\]'):
            DataRemixing(**bad)
    guided = tiny_guided()
    with pytest.raises(ValueError, match='which this balancer needs'):
        balanced_gradients(attached(DataRemixing(), guided), guided, batches(1)[0])
