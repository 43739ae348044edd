"""The transformer of sequences, its encoder and guide: padding, agreement with torch's transformer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmcggm.models import SequenceEncoder, SequenceTransformer
from mmcggm.models.encoders.sequence import TransformerLayer, add_positions, sinusoidal_positions
from mmcggm.structures.sequences import padding_mask, pool_tokens
from tests.test_models.predictors import TRANSFORMER, build


def test_dropout_is_where_it_belongs():
    rates = dict(attention_dropout=0.1, relu_dropout=0.2, embed_dropout=0.3, residual_dropout=0.4)
    transformer = SequenceTransformer(8, 2, num_heads=2, **rates)
    assert transformer.dropout.p == 0.3
    for layer in transformer.layers:
        assert (layer.attention.dropout, layer.feed_forward[2].p, layer.dropout.p) == (0.1, 0.2, 0.4)


@pytest.mark.parametrize('norm_first', [True, False])
@pytest.mark.parametrize('padded', [True, False])
@pytest.mark.parametrize('training', [True, False])
def test_transformer_is_torchs_on_scaled_tokens_and_positions(norm_first, padded, training):
    torch.manual_seed(0)
    ours = SequenceTransformer(8, 3, num_heads=2, norm_first=norm_first).train(training)
    layer = nn.TransformerEncoderLayer(8, 2, 32, 0.0, batch_first=True, norm_first=norm_first)
    norm = nn.LayerNorm(8) if norm_first else None
    theirs = nn.TransformerEncoder(layer, 3, norm, enable_nested_tensor=False).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    tokens = torch.randn(4, 6, 8)
    padding = padding_mask(torch.tensor([6, 1, 3, 5]), 6) if padded else None
    expected = theirs(
        8**0.5 * tokens + sinusoidal_positions(torch.arange(6), 8), src_key_padding_mask=padding
    )
    seen = slice(None) if padding is None else ~padding
    torch.testing.assert_close(ours((tokens, padding))[seen], expected[seen])
    torch.testing.assert_close(ours((tokens, padding), first_only=True), expected[:, :1])
    with torch.no_grad():  # torch's fast path
        torch.testing.assert_close(ours((tokens, padding))[seen], expected[seen], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('norm_first', [True, False])
def test_attention_to_another_sequence_is_a_weighted_mean_of_it(norm_first):
    torch.manual_seed(0)
    layer = TransformerLayer(8, 1, 0.0, 0.0, 0.0, norm_first).eval()
    tokens, source = torch.randn(2, 3, 8), torch.randn(2, 4, 8)
    padding = padding_mask(torch.tensor([2, 4]), 4)
    before, after = (layer.norm1, nn.Identity()) if norm_first else (nn.Identity(), layer.norm1)
    wq, wk, wv = layer.attention.in_proj_weight.chunk(3)  # biases start at zero
    query, key, value = before(tokens) @ wq.T, before(source) @ wk.T, before(source) @ wv.T
    weights = (query @ key.mT / 8**0.5).masked_fill(padding[:, None], -torch.inf).softmax(-1)
    hidden = after(tokens + layer.attention.out_proj(weights @ value))
    before, after = (layer.norm2, nn.Identity()) if norm_first else (nn.Identity(), layer.norm2)
    expected = after(hidden + layer.feed_forward(before(hidden)))
    torch.testing.assert_close(layer(tokens, source, padding), expected)


def test_transformer_to_another_sequence_sees_it_as_it_came_in():
    torch.manual_seed(0)
    transformer = SequenceTransformer(8, 2, num_heads=2).eval()
    tokens, source = torch.randn(2, 3, 8), (torch.randn(2, 4, 8), padding_mask(torch.tensor([2, 4]), 4))
    x, seen = add_positions(tokens), add_positions(source)
    for layer in transformer.layers:
        x = layer(x, seen, source[1])
    torch.testing.assert_close(transformer(tokens, source), transformer.norm(x))
    torch.testing.assert_close(transformer(tokens, source, first_only=True), transformer.norm(x[:, :1]))


def test_layers_start_with_weights_of_their_own():
    first, second = SequenceTransformer(8, 2, num_heads=2).layers
    assert not torch.equal(first.feed_forward[0].weight, second.feed_forward[0].weight)


@given(dim=st.integers(1, 9), shift=st.integers(0, 20))
@settings(max_examples=20)
def test_positions_tell_distances(dim, shift):
    """The scalar product of two positions depends on their distance alone (for sine and cosine pairs)."""
    positions = sinusoidal_positions(torch.arange(30), 2 * dim).double()
    assert (
        positions.shape == (30, 2 * dim)
        and sinusoidal_positions(torch.arange(3), 2 * dim - 1).shape[1] == 2 * dim - 1
    )
    products = positions @ positions.T
    torch.testing.assert_close(products[shift, shift:], products[0, : 30 - shift], atol=1e-4, rtol=0)


def test_a_position_is_the_number_of_tokens_before():
    padding = torch.tensor([[False, True, True, False, False]])
    found = add_positions((torch.zeros(1, 5, 4), padding))
    torch.testing.assert_close(found[0, [0, 3, 4]], sinusoidal_positions(torch.arange(3), 4))


@pytest.mark.parametrize('module', ['encoder', 'guide'])
def test_a_plain_tensor_is_a_sequence_without_padding(module):
    tokens = torch.randn(3, 5, 8)
    if module == 'encoder':
        encoder = SequenceEncoder(8, num_layers=1, **TRANSFORMER).eval()
        plain, (paired, padding) = encoder(tokens), encoder((tokens, None))
        assert padding is None
    else:
        guide = build(dict(type='SequenceGuide', num_layers=1, **TRANSFORMER)).eval()
        plain, paired = guide(tokens), guide((tokens, None))
    torch.testing.assert_close(plain, paired)


def test_pooling_counts_no_padding():
    tokens = torch.tensor([[[1.0], [2.0], [float('nan')]], [[3.0], [4.0], [8.0]]])
    padding = padding_mask(torch.tensor([2, 3]), 3)
    assert pool_tokens((tokens, padding), 'mean').tolist() == [[1.5], [5.0]]
    assert pool_tokens((tokens, padding), 'first').tolist() == [[1.0], [3.0]]
    assert pool_tokens(tokens[1:], 'mean').tolist() == [[5.0]]


def test_the_first_token_always_counts():
    assert padding_mask(torch.tensor([0, 1, 2]), 2).tolist() == [[False, True], [False, True], [False, False]]


def test_heads_divide_channels():
    with pytest.raises(ValueError, match='divisible by `num_heads`, got 8 and 3'):
        SequenceTransformer(8, 1, num_heads=3)


def test_vectors_are_no_sequences():
    with pytest.raises(
        ValueError, match=r'takes sequences \(N, L, C\), but was given \(2, 8\).*`backbone.encoders`'
    ):
        SequenceEncoder(8, num_layers=1, **TRANSFORMER)(torch.ones(2, 8))
