"""Fusions: closed forms, gradients to each modality, padding, training with CGGM, mistakes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcggm.structures.sequences import padding_mask
from tests.test_models.predictors import TRANSFORMER, batch, build, guided_config
from tests.tiny import build_wrapper

DIM = TRANSFORMER['dim']
FUSIONS = {
    'ConcatFusion': {},
    'SumFusion': {},
    'GatedFusion': {},
    'FiLMFusion': dict(modulated=1),
    'LowRankTensorFusion': dict(rank=3),
    'TransformerFusion': dict(num_heads=2, num_layers=1),
    'CrossAttentionFusion': dict(num_heads=2, num_layers=1, num_self_layers=1),
}
any_fusion = pytest.mark.parametrize('kind', FUSIONS)
any_number = pytest.mark.parametrize('count', [2, 3, 4, 5, 6])


def fusion(kind, count, **overrides):
    config = {**FUSIONS[kind], 'dim': DIM, **overrides}
    return build(dict(type=kind, num_modalities=count, **config)).eval()


def vectors(widths, size=5):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(size, width, generator=generator) for width in widths]


def test_concatenation_is_one_matrix():
    model, (a, b) = fusion('ConcatFusion', 2, in_channels=(3, 4)), vectors((3, 4))
    weight, bias = model.project.weight, model.project.bias
    torch.testing.assert_close(model([a, b]), a @ weight[:, :3].T + b @ weight[:, 3:].T + bias)


def test_a_sum_is_a_sum():
    x = vectors((DIM,) * 4)
    torch.testing.assert_close(fusion('SumFusion', 4)(x), torch.stack(x).sum(0))


def test_a_sum_of_projections_is_a_concatenation():
    model, x = fusion('SumFusion', 3, in_channels=(3, 4, 5)), vectors((3, 4, 5))
    concatenation = fusion('ConcatFusion', 3, in_channels=(3, 4, 5))
    concatenation.project.weight.data = torch.cat([p.weight for p in model.project], dim=1)
    concatenation.project.bias.data = sum(p.bias for p in model.project)
    torch.testing.assert_close(model(x), concatenation(x))


def test_gates_let_features_through():
    model, x = fusion('GatedFusion', 3, in_channels=(3, 4, 5)), vectors((3, 4, 5))
    gates = torch.sigmoid(model.gates(torch.cat(x, dim=1))).reshape(5, 3, DIM)
    expected = sum(gates[:, i] * torch.tanh(model.contents[i](x[i])) for i in range(3))
    torch.testing.assert_close(model(x), expected)
    # Gates that are shut, but for one modality's.
    model.gates.weight.data.zero_()
    model.gates.bias.data = torch.tensor([-99.0, 99.0, -99.0]).repeat_interleave(DIM)
    torch.testing.assert_close(model(x), torch.tanh(model.contents[1](x[1])))


def test_film_is_linear_in_what_it_modulates():
    model, (a, b, c) = fusion('FiLMFusion', 3, in_channels=(3, 4, 5), modulated=1), vectors((3, 4, 5))
    condition = model.condition(torch.cat([a, c], dim=1))
    torch.testing.assert_close(
        model([a, b, c]), (1 + condition[:, :DIM]) * model.features(b) + condition[:, DIM:]
    )


@given(widths=st.lists(st.integers(1, 4), min_size=1, max_size=4), rank=st.integers(1, 4))
@settings(max_examples=25)
def test_low_rank_tensor_is_the_contraction_of_the_outer_product(widths, rank):
    model, x = fusion('LowRankTensorFusion', len(widths), in_channels=widths, rank=rank), vectors(widths)
    outer, weight = torch.ones(5, 1), torch.ones(rank, DIM, 1)
    for features, factor in zip(x, model.factors, strict=True):
        extended = torch.cat([features, torch.ones(5, 1)], dim=1)
        outer = torch.einsum('np,nc->npc', outer, extended).flatten(1)
        rows = torch.cat([factor.weight, factor.bias[:, None]], dim=1).reshape(rank, DIM, -1)
        weight = torch.einsum('rdp,rdc->rdpc', weight, rows).flatten(2)
    torch.testing.assert_close(model(x), outer @ weight.sum(0).T, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('count', [2, 3])
def test_low_rank_tensor_keeps_the_variance(count):
    model = fusion('LowRankTensorFusion', count, in_channels=100, dim=100)
    assert model(vectors((100,) * count, size=500)).var().item() == pytest.approx(1, rel=0.2)


def test_transformer_reads_all_tokens_in_a_row():
    model, (a, b) = fusion('TransformerFusion', 2), torch.randn(2, 3, 4, DIM)
    first = model.transformer(torch.cat([a, b], dim=1))[:, 0]
    torch.testing.assert_close(model([a, b]), first + model.mlp(first))
    # A vector is a token.
    torch.testing.assert_close(model([a, b[:, 0]]), model([a, b[:, :1]]))


@any_fusion
@any_number
def test_gradients_reach_each_modality(kind, count):
    """Of vectors, of tokens and of padded tokens, of any widths."""
    widths = list(range(3, 3 + count))
    model = fusion(kind, count, in_channels=widths) if kind != 'SumFusion' else fusion(kind, count)
    widths = model.in_channels
    inputs, representations = [], []
    for index, width in enumerate(widths):
        shape = (3, width) if index % 3 == 0 else (3, 4 + index, width)
        inputs.append(torch.randn(shape, requires_grad=True))
        padding = padding_mask(torch.tensor([1, 4, 3]), 4 + index)
        representations.append((inputs[-1], padding) if index % 3 == 2 else inputs[-1])
    fused = model(representations)
    assert fused.shape == (3, DIM)
    fused.pow(2).sum().backward()
    for x in inputs:
        assert x.grad.isfinite().all() and (x.grad.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize('filler', [1e4, float('nan'), float('-inf')])
@pytest.mark.parametrize(
    ('kind', 'pooling'),
    [('TransformerFusion', {})]
    + [(k, dict(pool=pool)) for k in FUSIONS if k != 'TransformerFusion' for pool in ('mean', 'first')],
)
def test_padding_changes_nothing(kind, filler, pooling):
    model = fusion(kind, 3, **pooling)
    lengths = torch.tensor([1, 4, 2])
    tokens = torch.randn(3, 3, 4, DIM)
    longer = torch.nn.functional.pad(tokens, (0, 0, 0, 2))
    longer[:, padding_mask(lengths, 6)] = filler
    short = [(t, padding_mask(lengths, 4)) for t in tokens]
    long = [(t, padding_mask(lengths, 6)) for t in longer]
    torch.testing.assert_close(model(long), model(short))
    # Alone, as a sample without padding.
    torch.testing.assert_close(model(short)[:1], model([t[:1, :1] for t in tokens]))


@any_fusion
def test_no_padding_is_a_full_mask(kind):
    model, tokens = fusion(kind, 2), torch.randn(2, 3, 4, DIM)
    nothing = torch.zeros(3, 4, dtype=torch.bool)
    expected = model(list(tokens))
    torch.testing.assert_close(model([(t, nothing) for t in tokens]), expected)
    torch.testing.assert_close(model([(t, None) for t in tokens]), expected)


@any_fusion
@any_number
def test_trains_with_cggm(kind, count):
    widths = {f'm{i}': i + 2 for i in range(count)}
    model = build(
        guided_config(
            dict(type='ClassificationTask', target='labels'),
            dict(type='AutoGuide'),
            widths=widths,
            outputs=3,
            loss='CrossEntropyLoss',
            fusion=dict(type=kind, dim=DIM, **FUSIONS[kind]),
        )
    )
    # Smoothed: B > 0, so that each encoder moves.
    wrapper = build_wrapper(model, balancer=dict(type='CGGM', lam=0.2, progress='SmoothedProgress'))
    before = [[p.clone() for p in parameters] for parameters in model.encoder_parameters()]
    data = dict(
        inputs=batch(widths), labels=torch.tensor([0, 2, 1]), lengths=dict(m1=torch.tensor([2, 5, 4]))
    )
    for _ in range(2):
        losses = model.train_step(data, wrapper)
    assert all(value.isfinite() for value in losses.values())
    assert wrapper.balancer.stats['B'].isfinite().all()
    for old, new in zip(before, model.encoder_parameters(), strict=True):
        assert not any(torch.equal(a, b) for a, b in zip(old, new, strict=True))


@pytest.mark.parametrize(
    ('kind', 'count', 'arguments', 'message'),
    [
        ('ConcatFusion', 3, dict(in_channels=(4, 5)), r'`fusion.in_channels` .* 3 modalities.* \(4, 5\)'),
        ('SumFusion', 2, dict(in_channels=0), '`fusion.in_channels` .* got 0'),
        ('GatedFusion', 2, dict(pool='last'), "`fusion.pool` .* got 'last'"),
        ('CrossAttentionFusion', 2, dict(pool='max'), "`fusion.pool` .* got 'max'"),
        ('CrossAttentionFusion', 1, {}, 'at least two modalities, got 1'),
        ('CrossAttentionFusion', 4, dict(num_heads=3), 'divisible by `num_heads`, got 8 and 3'),
        ('FiLMFusion', 2, dict(modulated=2), '`fusion.modulated` .* 2 modalities and 2'),
        ('FiLMFusion', 1, dict(modulated=0), 'at least two modalities'),
        ('LowRankTensorFusion', 2, dict(rank=0), '`fusion.rank` .* got 0'),
    ],
)
def test_bad_settings_are_explained(kind, count, arguments, message):
    with pytest.raises(ValueError, match=message):
        fusion(kind, count, **arguments)


@any_fusion
@pytest.mark.parametrize(
    ('representation', 'message'),
    [
        (torch.zeros(2, DIM, 4, 4), r'modality 1 returns Tensor\(2, 8, 4, 4\): let it pool'),
        ((torch.zeros(2, DIM), None), 'modality 1 returns tuple'),
        (torch.zeros(2, 5), r'modality 0 8, modality 1 5\. .*in_channels`.* \[8, 8\]: set .* to \[8, 5\],'),
    ],
    ids=['map', 'padded vector', 'width'],
)
def test_representations_that_do_not_fit_are_explained(kind, representation, message):
    with pytest.raises(ValueError, match=message):
        fusion(kind, 2)([torch.zeros(2, DIM), representation])
