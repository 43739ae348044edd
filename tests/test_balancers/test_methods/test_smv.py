"""SMV: samples train again, alone, the modalities that contribute little to them."""

import copy
from itertools import permutations

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import SMV
from mmcggm.balancers.methods.smv import modality_weights, sample_weights
from tests.many import many_batches, many_guided
from tests.streams import Streams, streams_batch, streams_guided
from tests.tiny import batches, build_wrapper, classifier_guided, tiny_guided, tiny_runner

SGD = dict(type='SGD', lr=0.1)


def right(model, batch, some):
    """Return which samples are predicted right from the modalities ``some``, ``(N,)``."""
    parts = [encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    logits = model.fuse([h if i in some else 0 * h for i, h in enumerate(parts)])
    return logits.argmax(1) == batch['label']


@torch.no_grad()
def contributions(model, batch):
    """Return φ ``(M, N)``: the mean over all orders in which the modalities could join."""
    count = batch['x'].shape[1]
    orders, found = (
        list(permutations(range(count))),
        torch.zeros(count, len(batch['label']), dtype=torch.float64),
    )
    for order in orders:
        before = 0
        for size, index in enumerate(order, 1):
            value = size * right(model, batch, set(order[:size])).double()
            found[index] += (value - before) / len(orders)
            before = value
    return found.float()


def alone(model, batch, index):
    """Return the loss of each sample from one modality."""
    parts = [encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    logits = model.fuse([h if i == index else 0 * h for i, h in enumerate(parts)])
    return F.cross_entropy(logits, batch['label'], reduction='none')


def test_weights_of_two_modalities_are_the_numbers_of_copies():
    values = torch.tensor([1.5, 1.0, 0.5, 0.0, -0.5])
    assert sample_weights(values).tolist() == [0, 0, 1, 2, 3]


def test_an_update_is_that_of_the_data_set_with_copies():
    guided, (batch,) = many_guided(2), many_batches(2, 1, size=64)
    model = copy.deepcopy(guided.model)
    # As the authors have it: a list of samples, and for each the modality that is left.
    contributed, copies = contributions(model, batch), []
    for index in range(2):
        for sample, value in enumerate(contributed[index].tolist()):
            copies += [(sample, index)] * {1.5: 0, 1.0: 0, 0.5: 1, 0.0: 2, -0.5: 3}[value]
    assert {(contributed == value).any().item() for value in (-0.5, 0.5, 1.5)} == {True}
    samples, kept = (torch.tensor(column) for column in zip(*copies, strict=True))
    h = [encoder(x[samples]) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    logits = model.fuse([x * (kept == i).unsqueeze(1) for i, x in enumerate(h)])
    total = F.cross_entropy(logits, batch['label'][samples], reduction='sum')
    (model(**batch, mode='loss')['loss'] + total / 64).backward()

    guided.train_step(batch, build_wrapper(guided, optimizer=SGD, balancer=dict(type='SMV')))
    for new, old in zip(guided.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.1 * old.grad)


@pytest.mark.parametrize('count', [2, 3, 6])
def test_values_and_weights_for_any_number(count):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    model = copy.deepcopy(guided.model)
    values = contributions(model, batch)
    everyone = right(model, batch, set(range(count)))
    torch.testing.assert_close(values.sum(0), count * everyone.float())
    weights = 3.0 * (1 - values).clamp(min=0)
    losses = torch.stack([alone(model, batch, index) for index in range(count)])
    (model(**batch, mode='loss')['loss'] + (weights * losses).mean(1).sum()).backward()

    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='SMV', rate=1.5))
    guided.train_step(batch, wrapper)
    for new, old in zip(guided.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.1 * old.grad)
    torch.testing.assert_close(wrapper.balancer.stats['value'], values.mean(1))
    torch.testing.assert_close(wrapper.balancer.stats['weight'], weights.mean(1))


def test_a_sample_to_which_all_contribute_is_not_repeated():
    guided, (batch,) = many_guided(2), many_batches(2, 1, size=64)
    with torch.no_grad():
        good = right(guided.model, batch, {0}) & right(guided.model, batch, {1})
        good &= right(guided.model, batch, {0, 1})
    assert good.any()
    wrapper = build_wrapper(guided, balancer=dict(type='SMV'))
    guided.train_step({name: x[good] for name, x in batch.items()}, wrapper)
    assert wrapper.balancer.stats['weight'].tolist() == [0, 0]


def test_the_weaker_modality_gets_two_thirds_of_the_gap():
    torch.testing.assert_close(modality_weights(torch.tensor([0.9, 0.3])), torch.tensor([0.0, 0.4]))
    values = torch.tensor([1.0, 0.4, 0.7])
    torch.testing.assert_close(modality_weights(values), torch.tensor([0.0, 0.3, 0.0]))
    assert modality_weights(torch.ones(4)).tolist() == [0] * 4


@pytest.mark.parametrize('count', [2, 3])
def test_by_modality_an_epoch_weights_the_next(count):
    guided, data = many_guided(count), many_batches(count, 4)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='SMV', level='modality', every=2))
    plain = copy.deepcopy(guided)
    without = build_wrapper(plain, optimizer=SGD, balancer=None)
    valued = []
    for index, batch in enumerate(data):
        if index % 2 == 0:
            valued.append(contributions(guided.model, batch))
        guided.train_step(batch, wrapper)
        plain.train_step(batch, without)
    for new, old in zip(guided.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(new, old)  # no weights before an epoch has ended
    wrapper.balancer.end_epoch()

    weights = modality_weights(torch.cat(valued, dim=1).mean(1))
    assert (weights > 0).any()
    model = copy.deepcopy(guided.model)
    loss = model(**data[0], mode='loss')['loss']
    (loss + sum(w * alone(model, data[0], i).mean() for i, w in enumerate(weights))).backward()
    guided.train_step(data[0], wrapper)
    for new, old in zip(guided.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.1 * old.grad)
    torch.testing.assert_close(wrapper.balancer.stats['weight'], weights)


@pytest.mark.parametrize(('level', 'passes'), [('sample', [7, 7]), ('modality', [7, 1])])
def test_what_a_step_costs(level, passes):
    guided, data = many_guided(3), many_batches(3, 2)
    wrapper, calls = build_wrapper(guided, balancer=dict(type='SMV', level=level)), []
    guided.model.register_forward_hook(lambda *args: calls.append(1))
    for batch, expected in zip(data, passes, strict=True):
        calls.clear()
        guided.train_step(batch, wrapper)
        assert len(calls) == expected
    wrapper.balancer.active = False
    calls.clear()
    guided.train_step(data[0], wrapper)
    assert len(calls) == 1


@pytest.mark.parametrize('level', ['sample', 'modality'])
def test_the_weak_modality_learns_more(level):
    found = {}
    for balancer in (None, dict(type='SMV', level=level, every=1, rate=2.0)):
        torch.manual_seed(0)
        guided, data = many_guided(2), many_batches(2, 8, size=32)
        wrapper = build_wrapper(guided, optimizer=SGD, balancer=balancer)
        for _ in range(6):
            for batch in data:
                guided.train_step(batch, wrapper)
            if balancer:
                wrapper.balancer.end_epoch()
        with torch.no_grad():
            found[bool(balancer)] = sum(alone(guided.model, batch, 1).mean() for batch in data) / 8
    assert found[True] < 0.95 * found[False]


def test_a_modality_that_the_batch_lacks_is_not_trained_alone():
    torch.manual_seed(0)
    guided, batch = streams_guided(Streams(modalities=3)), streams_batch(modalities=3, size=32)
    del batch['x1']
    wrapper = build_wrapper(guided, balancer=dict(type='SMV'))
    guided.train_step(batch, wrapper)
    weights = wrapper.balancer.stats['weight']
    assert weights[1] == 0 and (weights[[0, 2]] > 0).all()
    by_modality = build_wrapper(guided, balancer=dict(type='SMV', level='modality', every=1))
    by_modality.balancer.load_state_dict({'weights': [0.0, 0.5, 0.0], 'passes': 1})
    calls = []
    guided.model.register_forward_hook(lambda *args: calls.append(1))
    guided.train_step(batch, by_modality)
    assert len(calls) == 7  # the pass and its six coalitions, and none alone


def test_resumed_equals_uninterrupted():
    guided, data = many_guided(2), many_batches(2, 8)
    settings = dict(optimizer=SGD, balancer=dict(type='SMV', level='modality', every=2))
    wrapper = build_wrapper(guided, **settings)

    def train(model, optim_wrapper, begin, end):
        for index in range(begin, end):
            model.train_step(data[index], optim_wrapper)
            if index % 3 == 2:
                optim_wrapper.balancer.end_epoch()

    train(guided, wrapper, 0, 4)  # one epoch, and a pass that was valued
    resumed = copy.deepcopy(guided)
    again = build_wrapper(resumed, **settings)
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    train(guided, wrapper, 4, 8)
    train(resumed, again, 4, 8)
    for new, old in zip(resumed.parameters(), guided.parameters(), strict=True):
        assert torch.equal(new, old)


@pytest.mark.parametrize('level', ['sample', 'modality'])
def test_trains_in_a_runner_and_in_half_precision(tmp_path, level):
    model = classifier_guided()
    config = dict(
        type='BalancedAmpOptimWrapper',
        constructor='GuidedOptimWrapperConstructor',
        optimizer=SGD,
        balancer=dict(type='SMV', level=level),
    )
    runner = tiny_runner(tmp_path, model=model, optim_wrapper=config)
    runner.train()
    assert all(p.isfinite().all() for p in model.parameters())
    names = {f'train/balance/{name}/{m}' for name in ('value', 'weight') for m in ('left', 'right')}
    assert names <= set(runner.message_hub.log_scalars)


def test_what_it_cannot_do_is_refused():
    for bad, match in (
        (dict(level='class'), "level='sample'"),
        (dict(rate=0), 'rate > 0'),
        (dict(every=0), 'every >= 1'),
    ):
        with pytest.raises(ValueError, match=match):
            SMV(**bad)
    guided = tiny_guided()
    with pytest.raises(ValueError, match='which this balancer needs'):
        guided.train_step(batches(1)[0], build_wrapper(guided, balancer=dict(type='SMV')))
