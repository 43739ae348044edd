"""The guided model: guides beside a model that stays as it is."""

import copy

import pytest
import torch
from mmengine.dataset import default_collate

from tests.tiny import ENCODERS, TinyData, TinyGuide, tiny_guided


@pytest.fixture
def batch():
    data = TinyData(16)
    return default_collate([data[i] for i in range(16)])


def test_losses_are_the_models_and_the_guides(batch):
    guided = tiny_guided()
    losses = guided(**batch, mode='loss')
    assert set(losses) == {'loss', 'guide_left.loss', 'guide_right.loss'}
    torch.testing.assert_close(losses['loss'], guided.model(**batch, mode='loss')['loss'])


def test_guides_send_no_gradient_to_the_model(batch):
    guided = tiny_guided()
    losses = guided(**batch, mode='loss')
    (losses['guide_left.loss'] + losses['guide_right.loss']).backward()
    assert all(p.grad is None for p in guided.model.parameters())
    assert all(p.grad is not None for p in guided.guides.parameters())


def test_each_guide_sees_its_own_modality(batch):
    guided = tiny_guided()
    before = guided(**batch, mode='loss')
    after = guided(**{**batch, 'right': batch['right'] + 1}, mode='loss')
    assert torch.equal(before['guide_left.loss'], after['guide_left.loss'])
    assert not torch.equal(before['guide_right.loss'], after['guide_right.loss'])


@pytest.mark.parametrize('mode', ['tensor', 'predict'])
def test_prediction_is_the_inner_models(mode, batch):
    guided = tiny_guided()
    calls = []
    guided.guides['left'].register_forward_hook(lambda *_: calls.append(1))
    result, expected = guided(**batch, mode=mode), guided.model(**batch, mode=mode)
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True)) and not calls


def test_step_holds_what_a_balancer_needs(batch):
    guided = tiny_guided()
    losses = guided(**batch, mode='loss')
    step = guided.take_step()
    assert step.task_loss is losses['loss'] or torch.equal(step.task_loss, losses['loss'])
    assert step.counts.shape == (2, 1, 2) and step.counts[:, 0, 1].tolist() == [16, 16]
    assert step.head_weight is guided.model.classifier.weight
    assert [w is guided.guides[m].layer.weight for m, w in zip(ENCODERS, step.guide_weights, strict=True)]
    with pytest.raises(RuntimeError, match='no step to balance'):
        guided.take_step()


def test_encoder_parameters_are_the_trainable_ones():
    guided = tiny_guided()
    guided.model.left_encoder.bias.requires_grad_(False)
    left, right = guided.encoder_parameters()
    assert len(left) == 1 and left[0] is guided.model.left_encoder.weight and len(right) == 2


def test_forward_hooks_are_removed(batch):
    guided = tiny_guided()
    guided(**batch, mode='loss')
    assert not guided.model.left_encoder._forward_hooks


def test_copies_are_independent(batch):
    guided = tiny_guided()
    clone = copy.deepcopy(guided)
    clone(**batch, mode='loss')
    with pytest.raises(RuntimeError):
        guided.take_step()


def test_guides_may_be_given_by_modality():
    own = TinyGuide()
    assert tiny_guided(guides=dict(right=own)).guides['right'] is own


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        (dict(encoders=dict(left='left_encoder', right='rigth_encoder')), "Did you mean 'right_encoder'"),
        (
            dict(head='clasifier'),
            "`head`: TinyClassifier has no module 'clasifier'. Did you mean 'classifier'",
        ),
        (dict(encoders=dict(left='left_encoder')), 'at least two modalities'),
        (dict(guide=None), "No guide for 'left'"),
        (dict(guide=dict(type='TinyGuide', outputs=4)), r'shape \(4, 8\).*has \(3, 8\)'),
        (dict(guides=dict(middle=dict(type='TinyGuide'))), r"`guides` names \['middle'\]"),
    ],
)
def test_bad_settings_are_named_before_training(overrides, message):
    with pytest.raises(ValueError, match=message):
        tiny_guided(**overrides)
