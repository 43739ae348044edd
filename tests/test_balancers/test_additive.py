"""Methods that take turns refuse a fusion that does not add up, in a loop and through MMEngine."""

import pytest
import torch
from torch import nn

import mmcggm
from tests.many import ManyClassifier, many_batches, many_guided
from tests.tiny import attached_wrapper

RECONBOOST = dict(type='ReconBoost', turn_epochs=1, rectify_epochs=1)
MESSAGE = 'needs a fusion that adds up: .* not affine in the representations'


def step_in_a_loop(method, late: bool) -> None:
    torch.manual_seed(0)
    model, (batch,) = ManyClassifier(2, late), many_batches(2, 1)
    balanced = mmcggm.balance(
        model, dict(a='encoders.0', b='encoders.1'), 'classifier', 'classification', method
    )
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    with balanced.watch(batch['label']):
        loss = nn.functional.cross_entropy(model(**batch), batch['label'])
    balanced.loss(loss).backward()
    optimizer.step()


def step_through_mmengine(method, late: bool) -> None:
    guided, (batch,) = many_guided(2, late=late), many_batches(2, 1)
    guided.train_step(batch, attached_wrapper(guided, balancer=method))


@pytest.mark.parametrize(
    ('step', 'method'),
    [
        (step_in_a_loop, dict(type='MLA')),
        (step_through_mmengine, dict(type='MLA')),
        (step_through_mmengine, RECONBOOST),
    ],
)
def test_what_bends_is_refused_and_what_adds_up_is_not(step, method):
    with pytest.raises(ValueError, match=f'{method["type"]} {MESSAGE}'):
        step(method, late=False)
    step(method, late=True)
    step(dict(method, any_fusion=True), late=False)


@pytest.mark.parametrize('only', [None, 'm1'])
def test_a_pass_tells_whether_fusion_adds_up(only):
    for late in (True, False):
        guided, (batch,) = many_guided(3, late, only=only), many_batches(3, 1)
        guided(**batch, mode='loss')
        seen = guided.take_pass()
        assert seen.adds_up() is late


def test_a_pass_without_a_graph_can_not_tell():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    guided.requires_grad_(False)
    guided(**batch, mode='loss')
    assert guided.take_pass().adds_up() is None
