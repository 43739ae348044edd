"""CGGM in an ordinary PyTorch loop, with PyTorch's optimizers and under Accelerate."""

import copy
import dataclasses

import pytest
import torch
from accelerate import Accelerator

from mmcggm.balancers import CGGM, GuidedStep
from tests.test_balancers.test_methods.test_cggm_variants import batches, groups, train
from tests.toy import ToyModel, toy_batch

OPTIMIZERS = ['SGD', 'Adam', 'AdamW', 'NAdam', 'RAdam', 'Adamax', 'Adagrad', 'Adadelta', 'RMSprop', 'ASGD']


@pytest.mark.parametrize('magnitude', ['gradient', 'update'])
@pytest.mark.parametrize('name', OPTIMIZERS)
def test_any_optimizer_of_pytorch_trains(name, magnitude):
    torch.manual_seed(0)
    model = ToyModel(3)
    data = [([x.float() for x in inputs], target) for inputs, target in batches(3, 5)]
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
    wrapped, data = copy.deepcopy(plain), [([x.float() for x in i], t) for i, t in batches(2, 5)]
    train(plain, CGGM(magnitude=magnitude), data, torch.optim.Adam(groups(plain, 0.05, 0.02)))

    accelerator, cggm = Accelerator(cpu=True), CGGM(magnitude=magnitude)
    model, optimizer = accelerator.prepare(wrapped, torch.optim.Adam(groups(wrapped, 0.05, 0.02)))
    for inputs, target in data:
        step = model.step(inputs, target)
        term = cggm.adjust_loss(step)
        accelerator.backward(step.task_loss + sum(step.guide_losses) + term)
        cggm.adjust_gradients(model.encoder_parameters())
        with cggm.scaled_updates(optimizer):
            optimizer.step()
        optimizer.zero_grad()
    for found, expected in zip(wrapped.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def toy_step(**changes) -> GuidedStep:
    return dataclasses.replace(ToyModel(2).double().step(*toy_batch(2)), **changes)


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
            r'`guide_weights` .*\(3, 5\), \(3, 7\)\].*shape \(3, 5\) of `head_weight`',
        ),
        (dict(guide_weights=[torch.ones(3, 5)]), r'the shapes \[\(3, 5\)\], but each of the 2 guides'),
    ],
)
@pytest.mark.parametrize('direction', ['gradient', 'weight'])
def test_what_a_step_gets_wrong_is_named(changes, message, direction):
    with pytest.raises(ValueError, match=message):
        CGGM(direction=direction).adjust_loss(toy_step(**changes))


def test_weights_need_not_fit_where_nothing_compares_them():
    assert CGGM(direction='none').adjust_loss(toy_step(guide_weights=[])) is None


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (lambda model: [list(model.encoders[0].parameters())], 'each of the 2 .*got lists for 1 encoders'),
        (lambda model: model.encoders.parameters(), r'got 4 single parameters: \[list\(encoder.parameters'),
    ],
)
def test_encoders_that_are_not_one_a_modality_are_named(given, message):
    model, cggm = ToyModel(2).double(), CGGM()
    cggm.adjust_loss(model.step(*toy_batch(2)))
    with pytest.raises(ValueError, match=rf'CGGM\.adjust_gradients needs .*{message}'):
        cggm.adjust_gradients(given(model))
