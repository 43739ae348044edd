"""An encoder or a guide that can not take what it gets is named, with what to do."""

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

import mmcggm
from mmcggm.registry import MODELS


def predictor(**encoder):
    with DefaultScope.overwrite_default_scope('mmcggm'):
        return MODELS.build(
            dict(
                type='MultimodalPredictor',
                backbone=dict(
                    type='MultimodalBackbone',
                    in_channels=dict(hand=6, gaze=2),
                    encoder={**dict(type='torchvision.ops.MLP', hidden_channels=[8, 8]), **encoder},
                    fusion=dict(type='ConcatFusion', dim=8),
                ),
                dim=8,
                outputs=3,
            )
        )


def batch(hand) -> dict:
    return dict(inputs=dict(hand=hand, gaze=torch.randn(4, 2)))


@pytest.mark.parametrize(
    ('hand', 'lengths', 'message'),
    [
        (
            torch.randn(4, 5, 6),
            torch.tensor([5, 3, 2, 4]),
            r'tokens and their padding, tuple.*SequenceEncoder',
        ),
        (torch.randn(4, 6, 5), None, r'Tensor\(4, 6, 5\): mat1.*SequenceEncoder'),
        (torch.randn(4, 7), None, r'Tensor\(4, 7\): mat1 .*`in_channels`'),
    ],
)
def test_an_encoder_that_does_not_fit_is_named(hand, lengths, message):
    given = batch(hand) | ({} if lengths is None else dict(lengths=dict(hand=lengths)))
    with pytest.raises(ValueError, match=rf"The encoder of 'hand', of type MLP, can not take {message}"):
        predictor()(**given)


def test_sequences_that_fit_are_taken():
    assert predictor()(**batch(torch.randn(4, 5, 6))).shape == (4, 3)


class Broken(nn.Module):
    def forward(self, x):
        raise RuntimeError('CUDA out of memory.')


def test_another_error_stays_what_it_is():
    model = predictor()
    model.backbone.encoders['gaze'] = Broken()
    with pytest.raises(RuntimeError, match=r'^CUDA out of memory\.$'):
        model(**batch(torch.randn(4, 6)))


class Own(nn.Module):
    """A guide that takes vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.last_layer = nn.Linear(6, 3)

    def forward(self, h):
        return self.last_layer(h)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.gaze, self.head = nn.GRU(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, words, gaze):
        return self.head(self.words(words.transpose(0, 1))[0].mean(0) + self.gaze(gaze))


def test_a_guide_that_does_not_fit_is_named():
    model = Recurrent()
    encoders = dict(words='words', gaze='gaze')
    balanced = mmcggm.balance(model, encoders, 'head', 'classification', method=None, guide=Own())
    balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    label = torch.arange(4) % 3
    with balanced.watch(label):
        loss = nn.functional.cross_entropy(model(torch.randn(4, 5, 4), torch.randn(4, 4)), label)
    with pytest.raises(ValueError, match=r"The guide of 'words' .*can not take tuple.*"):
        balanced.loss(loss)
