"""A guided model of which one modality alone is seen and trained."""

import copy

import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.evaluator import Evaluator

from mmcggm.balancers import Balancer
from tests.many import many_batches, many_guided
from tests.tiny import (
    Accuracy,
    TinyData,
    attached,
    balanced_gradients,
    build_wrapper,
    tiny_guided,
    tiny_runner,
    weights,
    wrapper_config,
)


@pytest.mark.parametrize('modalities', [2, 3, 6])
@pytest.mark.parametrize('balancer', [None, dict(type='MLA', any_fusion=True)])
def test_the_others_are_neither_seen_nor_trained(modalities, balancer):
    guided, data = many_guided(modalities, only='m1'), many_batches(modalities, 5)
    start, other = copy.deepcopy(guided), copy.deepcopy(guided)
    wrapper, other_wrapper = (build_wrapper(model, balancer=balancer) for model in (guided, other))
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


def test_what_is_seen_is_what_the_model_makes_of_that_modality():
    guided, (batch,) = many_guided(3, only='m2'), many_batches(3, 1)
    model = guided.model
    own = model.encoders[2](batch['x'][:, 2])
    expected = model.fuse([torch.zeros_like(own), torch.zeros_like(own), own])
    torch.testing.assert_close(guided(**batch), expected)
    guided(**batch, mode='loss')
    seen = guided.take_pass()
    torch.testing.assert_close(seen.output, expected)
    torch.testing.assert_close(seen.rerun({}).output, expected)


class Ones(Balancer):
    """A method that would change every representation."""

    def changes(self):
        return dict.fromkeys(range(len(self.modalities)), torch.ones_like)


def test_no_balancer_brings_the_others_back():
    guided, (batch,) = many_guided(2, only='m0'), many_batches(2, 1)
    balancer = attached(Ones(), guided)
    with torch.no_grad(), guided.changing(balancer.pass_changes()):
        found = guided(**batch)
        ones = torch.ones(len(batch['label']), 8)
        torch.testing.assert_close(found, guided.model.fuse([ones, 0 * ones]))


def test_without_it_it_is_joint_training():
    guided, (batch,) = many_guided(2, only=None), many_batches(2, 1)
    joint = many_guided(2)
    found, expected = (balanced_gradients(attached(Balancer(), m), m, batch) for m in (guided, joint))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert all(gradient is not None for gradient in found.values())


def test_its_checkpoints_fit_the_model_of_all():
    assert list(many_guided(2, only='m0').state_dict()) == list(many_guided(2).state_dict())


def test_trains_and_validates_in_a_runner(tmp_path):
    loader = dict(
        dataset=TinyData(),
        batch_size=16,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=default_collate,
    )
    runner = tiny_runner(
        tmp_path,
        model=tiny_guided(only='right'),
        hooks=[],
        optim_wrapper=wrapper_config(balancer=None),
        val_dataloader=loader,
        val_evaluator=Evaluator(Accuracy()),
        val_cfg=dict(),
    )
    left = weights(runner.model.model.left_encoder)
    runner.train()
    assert torch.equal(weights(runner.model.model.left_encoder), left)
    data = TinyData()
    batch = dict(left=data.left, right=data.right, label=data.label)
    other = dict(batch, left=torch.zeros_like(data.left) + 3)
    assert torch.equal(runner.model(**batch), runner.model(**other))


def test_an_unknown_modality_is_refused():
    message = r"`model\.only` must be one of the names in `model.encoders`, \['m0', 'm1'\], got 'audio'"
    with pytest.raises(ValueError, match=message):
        many_guided(2, only='audio')
