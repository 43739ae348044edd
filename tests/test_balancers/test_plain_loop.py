"""Methods in an ordinary PyTorch loop: CGGM, with PyTorch's optimizers and under Accelerate."""

import copy

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mmcggm.balancers import CGGM, OGM, Balancer, PlainPass, Training
from tests.toy import ToyModel, groups, toy_batch, toy_batches, train

OPTIMIZERS = ['SGD', 'Adam', 'AdamW', 'NAdam', 'RAdam', 'Adamax', 'Adagrad', 'Adadelta', 'RMSprop', 'ASGD']


@pytest.mark.parametrize('magnitude', ['gradient', 'update'])
@pytest.mark.parametrize('name', OPTIMIZERS)
def test_any_optimizer_of_pytorch_trains(name, magnitude):
    torch.manual_seed(0)
    model = ToyModel(3)
    data = [([x.float() for x in inputs], target) for inputs, target in toy_batches(3, 5)]
    before = copy.deepcopy(model)
    rates = torch.optim.SGD(groups(model, 0.05, 0.02)).param_groups
    optimizer = getattr(torch.optim, name)(groups(model, 0.05, 0.02))
    train(model, CGGM(magnitude=magnitude, bounds=(0.1, 0.9)), data, optimizer)
    for found, old in zip(model.parameters(), before.parameters(), strict=True):
        assert found.isfinite().all() and not torch.equal(found, old)
    assert [g['lr'] for g in optimizer.param_groups] == [g['lr'] for g in rates]


@pytest.mark.parametrize('magnitude', ['gradient', 'update'])
def test_accelerates_wrappers_change_nothing(magnitude):
    torch.manual_seed(0)
    plain = ToyModel(2)
    wrapped, data = copy.deepcopy(plain), [([x.float() for x in i], t) for i, t in toy_batches(2, 5)]
    train(plain, CGGM(magnitude=magnitude), data, torch.optim.Adam(groups(plain, 0.05, 0.02)))

    accelerator, cggm = Accelerator(cpu=True), CGGM(magnitude=magnitude)
    model, optimizer = accelerator.prepare(wrapped, torch.optim.Adam(groups(wrapped, 0.05, 0.02)))
    model.attached(cggm)
    for inputs, target in data:
        seen = model.step(inputs, target)
        term = cggm.see(seen)
        accelerator.backward(seen.task_loss + sum(seen.guide_losses) + term)
        cggm.finish_update()
        with cggm.scaled_rates(optimizer):
            optimizer.step()
        optimizer.zero_grad()
    for found, expected in zip(wrapped.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def see(balancer: Balancer, **changes) -> Tensor | None:
    """Let a balancer see a pass of which something was changed."""
    model = ToyModel(2).double()
    seen = model.step(*toy_batch(2))
    told = dict(
        task_loss=seen.task_loss,
        guide_losses=seen.guide_losses,
        counts=seen.counts,
        head_weight=seen.head_weight,
        guide_weights=seen.guide_weights,
    )
    return model.attached(balancer).see(PlainPass(**{**told, **changes}))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(counts=lambda: torch.ones(2, 2)),
            r'`counts` .* returned \(2, 2\), but .* \(2, K, 2\).*\[\[\[correct',
        ),
        (dict(counts=lambda: torch.ones(3, 1, 2)), r'returned \(3, 1, 2\), but'),
        (dict(counts=lambda: torch.ones(2, 2, 1)), r'returned \(2, 2, 1\), but'),
        (dict(counts=lambda: [1.0, 2.0]), 'returned list, but'),
        (
            dict(guide_weights=[torch.ones(3, 5), torch.ones(3, 7)]),
            r'`guide_weights` .*\(3, 5\), \(3, 7\)\].*shape of `head_weight`, \[\(3, 5\), \(3, 5\)\]',
        ),
        (dict(guide_weights=[torch.ones(3, 5)]), r'the shapes \[\(3, 5\)\], but each of the 2 guides'),
    ],
)
@pytest.mark.parametrize('direction', ['gradient', 'weight'])
def test_what_a_pass_gets_wrong_is_named(changes, message, direction):
    with pytest.raises(ValueError, match=message):
        see(CGGM(direction=direction), **changes)


@pytest.mark.parametrize('direction', ['gradient', 'weight'])
def test_a_head_inside_an_encoder_is_refused(direction):
    model = ToyModel(2).double()
    seen = model.step(*toy_batch(2))
    balancer = CGGM(direction=direction)
    balancer.attach(Training(['a', 'b'], [[seen.head_weight], list(model.encoders[1].parameters())]))
    with pytest.raises(ValueError, match='`head_weight` of the PlainPass belongs to an encoder'):
        balancer.see(seen)


def test_shared_parameters_are_refused():
    shared = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="encoders of 'a' and 'b' share parameters"):
        Training(['a', 'b'], [list(shared.parameters()), [*nn.Linear(2, 2).parameters(), shared.bias]])


def test_weights_need_not_fit_where_nothing_compares_them():
    assert see(CGGM(direction='none'), guide_weights=[]) is None


def test_what_a_plain_pass_does_not_know_is_named():
    message = r'asks for the probabilities of the guides, which a PlainPass does not know.*subclass of Pass'
    with pytest.raises(ValueError, match=message):
        see(OGM())


def test_a_balancer_without_a_training_says_what_to_do():
    message = r'CGGM is not attached to a training: call `balancer\.attach\(Training\('
    with pytest.raises(RuntimeError, match=message):
        CGGM().see(ToyModel(2).double().step(*toy_batch(2)))
