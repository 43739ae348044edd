"""MIDAS: samples one of whose modalities is another class's, with labels shared by confidence."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import MIDAS, Balancer
from mmcggm.balancers.methods.midas import draw_partners, label_shares
from tests.many import many_batches, many_guided
from tests.streams import Streams, streams_batch, streams_guided
from tests.tiny import attached, balanced_gradients, batches, tiny_guided


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_partners_are_of_another_class(labels):
    labels = torch.tensor(labels)
    partners, found = draw_partners(labels)
    assert (labels[partners] != labels)[found].all()
    assert found.all() if labels.unique().numel() > 1 else not found.any()


@settings(max_examples=40)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6))
def test_shares_follow_confidence_and_lift_the_least(confidences):
    values = [torch.tensor([c], dtype=torch.float64) for c in confidences]
    plain, lifted = label_shares(values, weak=False), label_shares(values, weak=True)
    torch.testing.assert_close(
        plain.squeeze(1), torch.tensor(confidences, dtype=plain.dtype) / sum(confidences)
    )
    least = plain.argmin()
    assert lifted[least] == pytest.approx(1 / len(values))
    others = torch.arange(len(values)) != least
    assert torch.equal(lifted[others], plain[others])


@pytest.mark.parametrize(('weak', 'hard'), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize('count', [2, 3])
def test_gradients_are_those_of_the_misaligned_samples(count, weak, hard):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    model, guides, labels = copy.deepcopy(guided.model), copy.deepcopy(guided.guides), batch['label']
    torch.manual_seed(5)
    chosen = int(torch.randint(count, ()))
    partners, _ = draw_partners(labels)
    h = [encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    sources = [partners if i == chosen else torch.arange(len(labels)) for i in range(count)]
    with torch.no_grad():
        p = [guide(x).softmax(1) for guide, x in zip(guides.values(), h, strict=True)]
        aligned = torch.tanh(sum(h))
    mixed = [x[source] for x, source in zip(h, sources, strict=True)]
    logs, feature = model.fuse(mixed).log_softmax(1), torch.tanh(sum(mixed)).detach()
    losses = []
    for n in range(len(labels)):
        confidences = [p[i][s[n], labels[s[n]]].item() for i, s in enumerate(sources)]
        shares = [c / sum(confidences) for c in confidences]
        if weak:
            shares[shares.index(min(shares))] = 1 / count
        target = sum(
            share * F.one_hot(labels[s[n]], 3) for share, s in zip(shares, sources, strict=True)
        )  # a soft label
        v = 1 + F.cosine_similarity(feature[n], aligned[n], dim=0) if hard else 1
        losses.append(-v * (target * logs[n]).sum())
    (model(**batch, mode='loss')['loss'] + 0.7 * torch.stack(losses).mean()).backward()

    torch.manual_seed(5)
    balancer = attached(MIDAS(lam=0.7, warmup=0, weak=weak, hard=hard), guided)
    found = balanced_gradients(balancer, guided, batch)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[f'model.{name}'], parameter.grad)


@pytest.mark.parametrize('case', ['warm-up', 'one class', 'one modality'])
def test_nothing_is_added_where_nothing_can_be_exchanged(case):
    guided, batch = streams_guided(Streams()), streams_batch()
    balancer = attached(MIDAS(warmup=0.5), guided)
    balancer.clock.progress = 0.4 if case == 'warm-up' else 0.5
    if case == 'one class':
        batch['target'] = torch.zeros_like(batch['target'])
    if case == 'one modality':
        del batch['x1']
    plain = copy.deepcopy(guided)
    expected = balanced_gradients(attached(Balancer(), plain), plain, batch)
    for name, gradient in balanced_gradients(balancer, guided, batch).items():
        assert gradient is None if expected[name] is None else torch.equal(gradient, expected[name]), name


def test_what_it_cannot_do_is_refused():
    for bad in (dict(lam=0), dict(warmup=-1)):
        with pytest.raises(ValueError, match=r'MIDAS needs lam > 0 and warmup in \[0, 1\]'):
            MIDAS(**bad)
    guided = tiny_guided()
    with pytest.raises(ValueError, match='which this balancer needs'):
        balanced_gradients(attached(MIDAS(), guided), guided, batches(1)[0])
