"""InfoReg: encoders that lead are held where the epoch began, while they learn more and more."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcggm.balancers import Balancer, InfoReg
from mmcggm.balancers.methods.inforeg import mean_leads
from tests.many import many_batches, many_guided
from tests.tiny import attached, balanced_gradients


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_leads_are_means_over_those_behind(scores):
    leads, ahead = mean_leads(torch.tensor(scores, dtype=torch.float64), torch.ones(len(scores)).bool())
    for own, lead, is_ahead in zip(scores, leads.tolist(), ahead.tolist(), strict=True):
        behind = [own - other for other in scores if other < own]
        assert is_ahead == bool(behind)
        assert lead == pytest.approx(sum(behind) / len(behind) if behind else 0)


def test_a_modality_that_the_batch_lacks_is_nobody_to_lead():
    leads, ahead = mean_leads(torch.tensor([0.5, 0.0, 0.3]), torch.tensor([True, False, True]))
    torch.testing.assert_close(leads, torch.tensor([0.2, 0.0, 0.0]))
    assert ahead.tolist() == [True, False, False]


def confidences(guided, batch):
    parts = zip(guided.guides.values(), guided.model.encoders, batch['x'].unbind(1), strict=True)
    with torch.no_grad():
        logits = [guide(encoder(x)) for guide, encoder, x in parts]
    return torch.stack([z.softmax(1)[range(len(z)), batch['label']].mean() for z in logits])


@pytest.mark.parametrize('count', [2, 3, 6])
def test_gradients_are_those_of_the_loss_with_the_term(count):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    balancer = attached(InfoReg(beta=2), guided)
    start = copy.deepcopy(guided.model)
    balanced_gradients(balancer, guided, batch)  # remembers where the epoch began
    with torch.no_grad():
        for parameter in guided.model.parameters():
            parameter.add_(0.1)
    model, scores = copy.deepcopy(guided.model), confidences(guided, batch)
    loss = model(**batch, mode='loss')['loss']
    for i, own in enumerate(scores):
        behind = scores[scores < own]
        if len(behind):
            a = (2 * torch.tanh((own - behind).mean())).exp()
            pairs = zip(model.encoders[i].parameters(), start.encoders[i].parameters(), strict=True)
            loss = loss + a / 2 * sum((p - first.detach()).square().sum() for p, first in pairs)
    loss.backward()
    found = balanced_gradients(balancer, guided, batch)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[f'model.{name}'], parameter.grad)


def test_the_window_follows_the_traces_and_the_epoch_moves_the_hold():
    guided, data = many_guided(2), many_batches(2, 3)
    balancer = attached(InfoReg(threshold=0.1), guided)
    optimizer = torch.optim.SGD(guided.model.parameters(), lr=0.5)
    traces, held = [], []
    for epoch in range(6):
        squares = []
        start = [[p.detach().clone() for p in e] for e in guided.encoder_parameters()]
        for batch in data:
            plain = copy.deepcopy(guided)
            plain_gradients = balanced_gradients(attached(Balancer(), plain), plain, batch)
            norms = [
                sum((g**2).sum() for n, g in plain_gradients.items() if n.startswith(f'model.encoders.{i}'))
                for i in range(2)
            ]
            squares.append(torch.stack(norms))
            balanced_gradients(balancer, guided, batch)
            for ours, first in zip(balancer.initial, start, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(ours, first, strict=True))
            open_ = [epoch < 2 or (traces[-1] - traces[-2])[i] / traces[-1][i] > 0.1 for i in range(2)]
            scores = confidences(guided, batch)
            expected = [bool(open_[i]) and bool(scores[i] > scores[1 - i]) for i in range(2)]
            assert (balancer.stats['hold'] > 0).tolist() == expected
            held.append(sum(expected))
            optimizer.step()
        traces.append(torch.stack(squares).mean(0))
        balancer.end_epoch()
        torch.testing.assert_close(balancer.traces[0], traces[-1])
    assert set(held) == {0, 1}


def test_what_it_cannot_do_is_refused():
    for bad in (dict(beta=-1), dict(threshold=-0.1)):
        with pytest.raises(ValueError, match='beta >= 0 and threshold >= 0'):
            InfoReg(**bad)
