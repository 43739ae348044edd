"""The model of multimodal sequences: shapes, padding, agreement with torch's transformer, training."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmcggm.models import SequenceTransformer
from mmcggm.models.encoders.sequence import padding_mask, sinusoidal_positions
from mmcggm.registry import MODELS
from tests.tiny import build_wrapper

CONFIG = Path(__file__).parents[2] / 'configs' / '_base_' / 'models' / 'mosi_transformer.py'
TRANSFORMER = dict(dim=8, num_heads=2)
WIDTHS = dict(text=6, audio=3)


def build(config):
    with DefaultScope.overwrite_default_scope('mmcggm'):
        torch.manual_seed(0)
        return MODELS.build(config)


def model_config(widths=WIDTHS, outputs=1, loss='L1Loss', **transformer) -> dict:
    transformer = {**TRANSFORMER, **transformer}
    encoders = {
        m: dict(type='SequenceEncoder', in_channels=w, num_layers=2, **transformer) for m, w in widths.items()
    }
    return dict(
        type='SequenceModel',
        backbone=dict(
            type='MultimodalBackbone',
            modalities=tuple(widths),
            encoders=encoders,
            fusion=dict(type='TransformerFusion', num_layers=1, **transformer),
        ),
        dim=transformer['dim'],
        outputs=outputs,
        loss=dict(type=f'torch.nn.{loss}'),
    )


def guided_config(task: dict, guide: dict | None = None, **model) -> dict:
    model = model_config(**model)
    guide = guide or dict(type='SequenceGuide', outputs=model['outputs'], num_layers=1, **TRANSFORMER)
    encoders = {m: f'backbone.encoders.{m}' for m in model['backbone']['modalities']}
    return dict(type='GuidedModel', model=model, encoders=encoders, head='head', guide=guide, task=task)


def batch(widths=WIDTHS, size=3, max_length=5, seed=0) -> dict:
    """Return inputs whose lengths differ from modality to modality."""
    generator = torch.Generator().manual_seed(seed)
    return {
        m: torch.randn(size, max_length + i, w, generator=generator)
        for i, (m, w) in enumerate(widths.items())
    }


def test_the_papers_model_and_guide():
    cfg = Config.fromfile(CONFIG)
    model, guide = build(cfg.model).eval(), build(cfg.guide).eval()
    inputs = {m: torch.randn(2, 50, width) for m, width in cfg.channels.items()}
    assert model(inputs).shape == (2, 1)
    tokens, padding = model.backbone.encoders['audio']((inputs['audio'], None))
    assert tokens.shape == (2, 50, 40) and padding is None
    assert guide((tokens, None)).shape == (2, 1)
    assert guide.last_layer.weight.shape == model.head.weight.shape
    assert [len(e.transformer.layers) for e in model.backbone.encoders.values()] == [5, 5, 5]
    assert len(model.backbone.fusion.transformer.layers) == 3 and len(guide.transformer.layers) == 2


def test_dropout_is_where_it_belongs():
    rates = dict(attention_dropout=0.1, relu_dropout=0.2, embed_dropout=0.3, residual_dropout=0.4)
    transformer = SequenceTransformer(8, 2, num_heads=2, **rates)
    assert transformer.dropout.p == 0.3
    for layer in transformer.layers:
        assert (layer.self_attn.dropout, layer.dropout.p) == (0.1, 0.2)
        assert layer.dropout1.p == layer.dropout2.p == 0.4


@pytest.mark.parametrize('norm_first', [True, False])
@pytest.mark.parametrize('padded', [True, False])
def test_transformer_is_torchs_on_scaled_tokens_and_positions(norm_first, padded):
    torch.manual_seed(0)
    ours = SequenceTransformer(8, 3, num_heads=2, norm_first=norm_first).eval()
    layer = nn.TransformerEncoderLayer(8, 2, 32, 0.0, batch_first=True, norm_first=norm_first)
    norm = nn.LayerNorm(8) if norm_first else None
    theirs = nn.TransformerEncoder(layer, 3, norm, enable_nested_tensor=False).eval()
    theirs.load_state_dict(ours.state_dict())
    tokens = torch.randn(4, 6, 8)
    padding = padding_mask(torch.tensor([6, 1, 3, 5]), 6) if padded else None
    expected = theirs(
        8**0.5 * tokens + sinusoidal_positions(torch.arange(6), 8), src_key_padding_mask=padding
    )
    seen = slice(None) if padding is None else ~padding
    torch.testing.assert_close(ours((tokens, padding))[seen], expected[seen])
    with torch.no_grad():  # torch's fast path
        torch.testing.assert_close(ours((tokens, padding))[seen], expected[seen], atol=1e-5, rtol=1e-4)


def test_layers_start_with_weights_of_their_own():
    first, second = SequenceTransformer(8, 2, num_heads=2).layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


@given(dim=st.integers(1, 9), shift=st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_positions_tell_distances(dim, shift):
    """The scalar product of two positions depends on their distance alone (for sine and cosine pairs)."""
    positions = sinusoidal_positions(torch.arange(30), 2 * dim).double()
    assert (
        positions.shape == (30, 2 * dim)
        and sinusoidal_positions(torch.arange(3), 2 * dim - 1).shape[1] == 2 * dim - 1
    )
    products = positions @ positions.T
    torch.testing.assert_close(products[shift, shift:], products[0, : 30 - shift], atol=1e-4, rtol=0)


@given(
    lengths=st.lists(st.integers(0, 5), min_size=3, max_size=3),
    extra=st.integers(0, 4),
    filler=st.sampled_from([0.0, 1e4, float('nan'), float('inf')]),
    guided_modality=st.sampled_from(['text', 'audio']),
)
@settings(max_examples=30, deadline=None)
def test_padding_changes_nothing(lengths, extra, filler, guided_modality):
    """Neither what padding holds nor how much of it there is, in the model and in a guide."""
    model = build(model_config()).eval()
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
    model, inputs = build(model_config()).eval(), batch()
    full = {m: torch.full((3,), x.shape[1]) for m, x in inputs.items()}
    torch.testing.assert_close(model(inputs, lengths=full), model(inputs))
    # One modality's lengths may be given alone.
    torch.testing.assert_close(model(inputs, lengths=dict(audio=full['audio'])), model(inputs))
    assert not torch.allclose(model(inputs, lengths=dict(audio=torch.ones(3))), model(inputs))


@pytest.mark.parametrize('count', [2, 3, 5])
def test_every_modality_matters_at_any_number(count):
    widths = {f'm{i}': i + 2 for i in range(count)}
    model = build(model_config(widths)).eval()
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
@pytest.mark.parametrize('guide', [None, dict(type='AutoGuide', depth=0, level=0)], ids=['paper', 'linear'])
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
    model, inputs = build(model_config()).eval(), batch()
    labels = torch.tensor([-1, 0, 2])
    expected = (model(inputs)[:, 0] - labels).abs().mean()
    torch.testing.assert_close(model(inputs, labels, mode='loss')['loss'], expected)
    torch.testing.assert_close(model(inputs, labels[:, None].float(), mode='loss')['loss'], expected)


def test_predictions_are_an_element_a_sample():
    model, inputs = build(model_config(outputs=2)).eval(), batch()
    samples = model(inputs, torch.tensor([0, 1, 1]), mode='predict')
    torch.testing.assert_close(torch.stack([s.prediction for s in samples]), model(inputs))
    assert [int(s.label) for s in samples] == [0, 1, 1]
    assert 'label' not in model(inputs, mode='predict')[0]


def test_mistakes_are_explained():
    model, inputs = build(model_config()), batch()
    with pytest.raises(ValueError, match=r"`lengths` names \['vision'\], .*\['text', 'audio'\]"):
        model(inputs, lengths=dict(vision=torch.ones(3)))
    with pytest.raises(ValueError, match="got 'test'"):
        model(inputs, mode='test')
    with pytest.raises(ValueError, match='divisible by `num_heads`, got 8 and 3'):
        SequenceTransformer(8, 1, num_heads=3)
