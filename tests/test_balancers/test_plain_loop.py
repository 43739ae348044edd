"""CGGM in an ordinary PyTorch loop, with PyTorch's optimizers and under Accelerate."""

import copy

import pytest
import torch
from accelerate import Accelerator

from mmcggm.balancers import CGGM
from tests.test_balancers.test_cggm_variants import batches, groups, train
from tests.toy import ToyModel

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
