"""The predictor of several modalities: padding, kinds of inputs, losses, training with CGGM."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from torch import nn

from mmcggm.registry import MODELS
from mmcggm.structures.sequences import padding_mask
from tests.test_models.predictors import TRANSFORMER, WIDTHS, batch, build, guided_config, predictor_config
from tests.tiny import build_wrapper

CONFIG = Path(__file__).parents[2] / 'configs' / '_base_' / 'models' / 'mosi_transformer.py'


@MODELS.register_module()
class PooledConv(nn.Sequential):
    """A small image encoder with one vector an image."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8)
        )


def test_the_papers_model_and_guide():
    cfg = Config.fromfile(CONFIG)
    model, guide = build(cfg.model).eval(), build(cfg.guide).eval()
    inputs = {m: torch.randn(2, 50, width) for m, width in cfg.channels.items()}
    assert model(inputs).shape == (2, 1)
    tokens = model.backbone.encoders['audio'](inputs['audio'])
    assert tokens.shape == (2, 50, 40)
    assert guide(tokens).shape == (2, 1)
    assert guide.last_layer.weight.shape == model.head.weight.shape
    assert [len(e.transformer.layers) for e in model.backbone.encoders.values()] == [5, 5, 5]
    assert len(model.backbone.fusion.transformer.layers) == 3 and len(guide.transformer.layers) == 2


@given(
    lengths=st.lists(st.integers(0, 5), min_size=3, max_size=3),
    extra=st.integers(0, 4),
    filler=st.sampled_from([0.0, 1e4, float('nan'), float('inf')]),
    guided_modality=st.sampled_from(['text', 'audio']),
)
@settings(max_examples=30)
def test_padding_changes_nothing(lengths, extra, filler, guided_modality):
    """Neither what padding holds nor how much of it there is, in the model and in a guide."""
    model = build(predictor_config()).eval()
    guide = build(dict(type='SequenceGuide', num_layers=1, **TRANSFORMER)).eval()
    inputs, lengths = batch(max_length=5), torch.tensor(lengths)
    given_lengths = dict.fromkeys(inputs, lengths)
    padded = {m: nn.functional.pad(x, (0, 0, 0, extra)) for m, x in inputs.items()}
    for x in padded.values():
        x[padding_mask(lengths, x.shape[1])] = filler
    torch.testing.assert_close(model(padded, lengths=given_lengths), model(inputs, lengths=given_lengths))
    encoder = model.backbone.encoders[guided_modality]
    results = [
        guide(encoder((x, padding_mask(lengths, x.shape[1]))))
        for x in (inputs[guided_modality], padded[guided_modality])
    ]
    torch.testing.assert_close(*results)
    assert results[0].isfinite().all()


def test_full_lengths_are_no_padding():
    model, inputs = build(predictor_config()).eval(), batch()
    full = {m: torch.full((3,), x.shape[1]) for m, x in inputs.items()}
    torch.testing.assert_close(model(inputs, lengths=full), model(inputs))
    # One modality's lengths may be given alone.
    torch.testing.assert_close(model(inputs, lengths=dict(audio=full['audio'])), model(inputs))
    assert not torch.allclose(model(inputs, lengths=dict(audio=torch.ones(3))), model(inputs))


def test_lengths_can_be_ignored():
    model, inputs = build(predictor_config(mask_padding=False)).eval(), batch()
    assert torch.equal(model(inputs, lengths=dict(audio=torch.ones(3))), model(inputs))


def test_images_and_sequences_live_in_one_model():
    config = predictor_config(dict(WIDTHS, image=3), encoders=dict(image=dict(type='PooledConv')))
    model = build(config).eval()
    inputs = dict(batch(), image=torch.randn(3, 3, 6, 6))
    lengths = dict(text=torch.tensor([1, 5, 3]))
    prediction = model(inputs, lengths=lengths)
    assert prediction.shape == (3, 1)
    assert not torch.equal(model(dict(inputs, image=-inputs['image']), lengths=lengths), prediction)


@pytest.mark.parametrize('count', [2, 3, 5])
def test_every_modality_matters_at_any_number(count):
    widths = {f'm{i}': i + 2 for i in range(count)}
    model = build(predictor_config(widths)).eval()
    inputs = {m: x.requires_grad_() for m, x in batch(widths).items()}
    model(inputs).sum().backward()
    assert all((x.grad.abs().sum(-1) > 0).all() for x in inputs.values())


TASKS_AND_LABELS = {
    'regression': (
        dict(outputs=1, loss='L1Loss'),
        dict(type='RegressionTask', target='labels'),
        torch.tensor([-1.0, 0.5, 2.0]),
    ),
    'several targets': (
        dict(outputs=2, loss='MSELoss'),
        dict(type='RegressionTask', target='labels', loss='criterion'),
        torch.tensor([[-1.0, 0.5], [2.0, 1.0], [0.0, -2.0]]),
    ),
    'classification': (
        dict(outputs=4, loss='CrossEntropyLoss'),
        dict(type='ClassificationTask', target='labels'),
        torch.tensor([0, 3, 1]),
    ),
}


@pytest.mark.parametrize('name', TASKS_AND_LABELS)
@pytest.mark.parametrize('guide', [None, dict(type='AutoGuide', depth=0)], ids=['paper', 'linear'])
def test_trains_with_cggm(name, guide):
    settings, task, labels = TASKS_AND_LABELS[name]
    model = build(guided_config(task, guide, **settings))
    wrapper = build_wrapper(
        model,
        optimizer=dict(type='Adam', lr=1e-2),
        guide_optimizer=dict(type='Adam', lr=1e-2),
        balancer=dict(type='CGGM', rho=1.3, lam=0.2, progress='SmoothedProgress'),
    )
    before = {name: p.clone() for name, p in model.named_parameters()}
    data = dict(inputs=batch(), labels=labels, lengths=dict(text=torch.tensor([2, 5, 4])))
    losses = [model.train_step(data, wrapper)['loss'].item() for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]
    assert not [name for name, p in model.named_parameters() if torch.equal(p, before[name])]


def test_a_column_of_labels_is_not_broadcast():
    model, inputs = build(predictor_config()).eval(), batch()
    labels = torch.tensor([-1, 0, 2])
    expected = (model(inputs)[:, 0] - labels).abs().mean()
    torch.testing.assert_close(model(inputs, labels, mode='loss')['loss'], expected)
    torch.testing.assert_close(model(inputs, labels[:, None].float(), mode='loss')['loss'], expected)


def test_predictions_are_an_element_a_sample():
    model, inputs = build(predictor_config(outputs=2)).eval(), batch()
    samples = model(inputs, torch.tensor([0, 1, 1]), mode='predict')
    torch.testing.assert_close(torch.stack([s.prediction for s in samples]), model(inputs))
    assert [int(s.label) for s in samples] == [0, 1, 1]
    assert 'label' not in model(inputs, mode='predict')[0]


def test_mistakes_are_explained():
    model, inputs = build(predictor_config()), batch()
    with pytest.raises(ValueError, match=r"`lengths` names \['vision'\], .*\['text', 'audio'\]"):
        model(inputs, lengths=dict(vision=torch.ones(3)))
    with pytest.raises(ValueError, match="got 'test'"):
        model(inputs, mode='test')
    with pytest.raises(ValueError, match=r'`dim` is 8, but `backbone.fusion.dim` is 4'):
        build(predictor_config(fusion=dict(type='SumFusion', in_channels=8, dim=4)))


def test_weights_of_classes_may_be_a_list():
    config = predictor_config(outputs=3, loss='CrossEntropyLoss')
    config['loss']['weight'] = [1.0, 2.0, 4.0]
    model, inputs = build(config).eval(), batch()
    labels, weights = torch.tensor([0, 1, 2]), torch.tensor([1.0, 2.0, 4.0])
    each = torch.nn.functional.cross_entropy(model(inputs), labels, reduction='none')
    found = model(inputs, labels, mode='loss')['loss']
    torch.testing.assert_close(found, (weights * each).sum() / weights.sum())
    with pytest.raises(ValueError, match=r'`loss.weight` has 3 entries for `outputs=2`'):
        build({**config, 'outputs': 2})
