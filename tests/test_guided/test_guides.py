"""Guides made from the head's last layer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmcggm.guided import AutoGuide
from mmcggm.guided.guides import output_width

HEADS = {
    'linear': (nn.Linear, {}, ()),
    'conv1d': (nn.Conv1d, dict(kernel_size=1), (5,)),
    'conv2d': (nn.Conv2d, dict(kernel_size=1), (5, 6)),
    'conv2d 3 x 3': (nn.Conv2d, dict(kernel_size=3, padding=1), (5, 6)),
    'conv3d': (nn.Conv3d, dict(kernel_size=1), (3, 4, 5)),
}


@settings(max_examples=40)
@given(
    kind=st.sampled_from(list(HEADS)),
    width=st.integers(1, 6),
    channels=st.integers(1, 6),
    classes=st.integers(1, 4),
    bias=st.booleans(),
    depth=st.integers(0, 2),
)
def test_guide_answers_as_the_head_does(kind, width, channels, classes, bias, depth):
    layer, options, space = HEADS[kind]
    head = layer(width, classes, bias=bias, **options)
    guide = AutoGuide(head, in_channels=channels, depth=depth)
    prediction = guide(torch.randn(2, channels, *space))
    assert prediction.shape == head(torch.randn(2, width, *space)).shape
    assert type(guide.last_layer) is layer and guide.last_layer.weight.shape == head.weight.shape
    assert (guide.last_layer.bias is None) == (head.bias is None)
    layers = list(guide.layers)
    assert sum(isinstance(m, nn.ReLU) for m in layers) == depth
    assert len(layers) == 2 * depth + 1 + (width != channels)
    prediction.sum().backward()
    assert all(p.grad is not None for p in guide.parameters())
    assert head.weight.grad is None


def test_last_layer_is_new_and_trains_though_the_heads_is_a_copy_or_frozen():
    head = nn.Linear(4, 3).requires_grad_(False)
    guide = AutoGuide(head, in_channels=4)
    assert not torch.equal(guide.last_layer.weight, head.weight)
    assert guide.last_layer.weight.requires_grad


def linear_guide(**options) -> AutoGuide:
    return AutoGuide(nn.Linear(4, 3), in_channels=4, depth=0, **options)


@pytest.mark.parametrize('space', [(), (5, 6), (2, 3, 4)])
def test_feature_maps_are_averaged_for_a_linear_head(space):
    guide, x = linear_guide(), torch.randn(2, 4, *space)
    expected = guide.last_layer(x.flatten(2).mean(2) if space else x)
    torch.testing.assert_close(guide(x), expected)


def test_sequences_are_pooled_in_any_layout():
    x = torch.randn(2, 7, 4)
    pooled = dict(mean=x.mean(1), first=x[:, 0], last=x[:, -1])
    axes = dict(NLC=(0, 1, 2), NCL=(0, 2, 1), LNC=(1, 0, 2))
    for pool, expected in pooled.items():
        for layout, permutation in axes.items():
            guide = linear_guide(pool=pool, layout=layout)
            torch.testing.assert_close(guide(x.permute(permutation)), guide.last_layer(expected))


@pytest.mark.parametrize('pool', ['mean', 'first', 'last'])
def test_padding_of_a_sequence_does_not_count(pool):
    x, lengths = torch.randn(3, 7, 4), (7, 2, 1)
    padding = torch.arange(7) >= torch.tensor(lengths).unsqueeze(1)
    rows = [x[i, :length] for i, length in enumerate(lengths)]
    expected = torch.stack([dict(mean=row.mean(0), first=row[0], last=row[-1])[pool] for row in rows])
    guide = linear_guide(pool=pool)
    torch.testing.assert_close(guide((x, padding)), guide.last_layer(expected))
    torch.testing.assert_close(guide((x.masked_fill(padding.unsqueeze(-1), 9), padding)), guide((x, padding)))
    torch.testing.assert_close(guide((x, None)), guide(x))


@pytest.mark.parametrize('container', [tuple, list])
def test_level_of_a_pyramid(container):
    levels = container(torch.randn(2, 4, size, size) for size in (8, 4, 2))
    for level, expected in [(-1, levels[2]), (0, levels[0])]:
        guide = linear_guide(level=level)
        torch.testing.assert_close(guide(levels), guide.last_layer(expected.flatten(2).mean(2)))


def test_width_is_that_of_the_encoders_last_layer():
    conv = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.ReLU())
    transformer = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 1, norm=nn.LayerNorm(8))
    assert output_width(conv) == 6
    assert output_width(nn.Sequential(conv, nn.Flatten(), nn.Linear(6, 5), nn.Dropout())) == 5
    assert output_width(transformer) == 8
    assert output_width(nn.LSTM(3, 5, bidirectional=True)) == 10
    assert output_width(nn.LSTM(3, 5, proj_size=2)) == 2
    assert output_width(nn.ReLU()) is None


def test_width_of_a_resnet_and_of_a_bert():
    from mmseg.models import ResNet

    assert output_width(ResNet(depth=50, base_channels=4)) == 4 * 8 * 4
    transformers = pytest.importorskip('transformers')
    config = transformers.BertConfig(
        vocab_size=10, hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=20
    )
    assert output_width(transformers.BertModel(config)) == 12


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(depth=-1), ValueError, '`depth` >= 0, got -1'),
        (dict(pool='max'), ValueError, "`pool` in .*got 'max'"),
        (dict(layout='CLN'), ValueError, "`layout` in .*got 'CLN'"),
        (dict(in_channels=None, encoder=nn.ReLU()), ValueError, r'\(ReLU\): set its `in_channels`'),
        (dict(head=nn.Bilinear(2, 2, 3)), TypeError, 'Linear or Conv1d to Conv3d.*Bilinear'),
        (dict(head=nn.ConvTranspose2d(2, 2, 3)), TypeError, 'ConvTranspose2d'),
    ],
)
def test_bad_settings_are_named(options, error, message):
    with pytest.raises(error, match=message):
        AutoGuide(**{'head': nn.Linear(4, 3), 'in_channels': 4, **options})


@pytest.mark.parametrize(
    ('kind', 'representation', 'message'),
    [
        ('linear', torch.zeros(2, 5), 'has 5 channels, but the guide was built for 4.*`in_channels=5`'),
        ('linear', torch.zeros(2, 4, 7), r'has 7 channels.*`layout`.*Tensor\(2, 4, 7\)'),
        ('linear', dict(a=torch.zeros(2, 4)), r"dict\('a': Tensor\(2, 4\)\), not a tensor.*encoder's `key`"),
        ('linear', (), 'tuple, not a tensor.*a level -1'),
        ('linear', (torch.zeros(2, 7, 4), torch.zeros(1, 2, 4)), r'differ in axes or samples.*`key=0`'),
        ('linear', (torch.zeros(2, 7, 4), torch.zeros(2, 4)), r'Tensor\(2, 7, 4\).*no levels of a pyramid'),
        ('conv2d', [torch.zeros(2, 4, 8, 8), torch.zeros(1, 4, 4, 4)], 'no levels of a pyramid'),
        ('conv2d', torch.zeros(2, 7, 4), r'Tensor\(2, 7, 4\), but .* takes 4 axes'),
        ('conv3d', torch.zeros(2, 4, 3, 3), r'takes 5 axes'),
    ],
)
def test_representation_that_does_not_fit_is_explained(kind, representation, message):
    layer, options, _ = HEADS[kind]
    with pytest.raises(ValueError, match=message):
        AutoGuide(layer(4, 3, **options), in_channels=4)(representation)


@pytest.mark.parametrize('batch', [1, 2, 3])
@pytest.mark.parametrize(
    'rnn', [nn.GRU(5, 4, batch_first=True), nn.GRU(5, 4), nn.LSTM(5, 4, num_layers=2, batch_first=True)]
)
def test_states_of_a_recurrent_encoder_are_never_a_pyramid(rnn, batch):
    guide = AutoGuide(nn.Linear(4, 3), rnn, layout='NLC' if rnn.batch_first else 'LNC')
    output = rnn(torch.randn(batch, 2, 5) if rnn.batch_first else torch.randn(2, batch, 5))
    with pytest.raises(ValueError, match="recurrent layer: pick the outputs with the encoder's `key=0`"):
        guide(output)
    assert guide(output[0]).shape == (batch, 3)


def test_levels_of_sequences_may_differ_in_length_in_any_layout():
    levels = [torch.randn(2, length, 4) for length in (8, 4)]
    guide = linear_guide(layout='LNC')
    expected = guide.last_layer(levels[1].mean(1))
    torch.testing.assert_close(guide([level.transpose(0, 1) for level in levels]), expected)
