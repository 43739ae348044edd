"""Training with one modality alone."""

import copy

import pytest
import torch
from mmengine.evaluator import Evaluator

from tests.many import many_batches, many_guided
from tests.tiny import Accuracy, TinyData, build_wrapper, tiny_runner, weights


@pytest.mark.parametrize('modalities', [2, 3, 6])
def test_the_others_are_neither_seen_nor_trained(modalities):
    guided, data = many_guided(modalities), many_batches(modalities, 5)
    start = copy.deepcopy(guided)
    wrapper = build_wrapper(guided, balancer=dict(type='SingleModality', modality='m1'))
    other = copy.deepcopy(guided)
    other_wrapper = build_wrapper(other, balancer=dict(type='SingleModality', modality='m1'))
    noise = torch.Generator().manual_seed(1)
    for batch in data:
        guided.train_step(batch, wrapper)
        x = torch.randn(batch['x'].shape, generator=noise)
        x[:, 1] = batch['x'][:, 1]
        other.train_step(dict(batch, x=x), other_wrapper)
    assert torch.equal(weights(guided.model), weights(other.model))
    for index, (old, new) in enumerate(zip(start.model.encoders, guided.model.encoders, strict=True)):
        assert torch.equal(weights(old), weights(new)) == (index != 1)
    assert torch.equal(guided(**batch), guided(**dict(batch, x=x)))  # in prediction too


def test_inactive_it_is_joint_training():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    joint = copy.deepcopy(guided)
    wrapper = build_wrapper(guided, balancer=dict(type='SingleModality', modality='m0'))
    wrapper.balancer.active = False
    guided.train_step(batch, wrapper)
    joint.train_step(batch, build_wrapper(joint, balancer=None))
    assert torch.equal(weights(guided.model), weights(joint.model))


def test_trains_and_validates_in_a_runner(tmp_path):
    loader = dict(
        dataset=TinyData(),
        batch_size=16,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    wrapper = dict(
        type='BalancedOptimWrapper',
        optimizer=dict(type='SGD', lr=0.1),
        balancer=dict(type='SingleModality', modality='right'),
    )
    runner = tiny_runner(
        tmp_path,
        optim_wrapper=wrapper,
        val_dataloader=loader,
        val_evaluator=Evaluator(Accuracy()),
        val_cfg=dict(),
    )
    runner.train()
    data = TinyData()
    batch = dict(left=data.left, right=data.right, label=data.label)
    other = dict(batch, left=torch.zeros_like(data.left) + 3)
    assert torch.equal(runner.model(**batch), runner.model(**other))


def test_an_unknown_modality_is_refused():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    wrapper = build_wrapper(guided, balancer=dict(type='SingleModality', modality='audio'))
    with pytest.raises(
        ValueError, match=r"one of the names in `model.encoders`, \['m0', 'm1'\], got 'audio'"
    ):
        guided.train_step(batch, wrapper)
