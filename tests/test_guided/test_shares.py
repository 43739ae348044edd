"""Each modality's share of the fused output, against the published split of a linear layer."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmcggm.balancers.discrepancy import confidence_sums, share_sums
from mmcggm.guided.shares import affine_shares, is_affine
from mmcggm.registry import MODELS
from tests.tiny import TinyClassifier, attached_wrapper, batches, classifier_guided


@MODELS.register_module()
class AffineClassifier(TinyClassifier):
    """Encoders with a bend, and an affine fusion of one of several kinds."""

    def __init__(self, fusion: str = 'concat') -> None:
        super().__init__()
        self.fusion = fusion
        self.left_encoder, self.right_encoder = (nn.Sequential(nn.Linear(4, 8), nn.ReLU()) for _ in range(2))
        self.project = nn.Linear(16, 8)
        if fusion == 'concat':
            self.classifier = nn.Linear(16, 3)

    def forward(self, right, label, left=None, mode: str = 'tensor'):
        right = self.right_encoder(right)
        left = torch.zeros_like(right) if left is None else self.left_encoder(left)
        both = torch.cat([left, right], 1)
        if self.fusion == 'sum':
            both = left + right
        elif self.fusion == 'projected':
            both = self.project(both)
        elif self.fusion == 'bent':
            both = self.project(both).relu()
        logits = self.classifier(both)
        return dict(loss=F.cross_entropy(logits, label)) if mode == 'loss' else logits


def taken(guided, batch, changes=None):
    with guided.changing(changes or {}):
        guided(**batch, mode='loss')
    return guided.take_pass()


def affine(fusion):
    model = dict(type='AffineClassifier', fusion=fusion)
    return classifier_guided(model=model, guide=dict(type='AutoGuide'))


def published(model, batch):
    """The split of the code of OGM and OPM: a part of the weight each, half of the bias each."""
    weight, bias = model.classifier.weight, model.classifier.bias
    left, right = model.left_encoder(batch['left']), model.right_encoder(batch['right'])
    if model.fusion == 'projected':
        bias = bias + F.linear(model.project.bias, weight)
        weight = weight @ model.project.weight
    first, second = (weight, weight) if model.fusion == 'sum' else weight.split(8, 1)
    return [F.linear(left, first, bias / 2), F.linear(right, second, bias / 2)]


@pytest.mark.parametrize('fusion', ['concat', 'sum', 'projected'])
def test_shares_are_the_published_split(fusion):
    guided, (batch,) = affine(fusion), batches(1)
    seen = taken(guided, batch)
    expected = published(guided.model, batch)
    torch.testing.assert_close(seen.shares(), [share.detach() for share in expected])
    torch.testing.assert_close(sum(seen.shares()), seen.output.detach())
    probabilities = [share.softmax(1)[range(16), batch['label']].sum().detach() for share in expected]
    torch.testing.assert_close(share_sums(seen), torch.stack(probabilities))


def test_what_a_method_drops_changes_no_share():
    guided, (batch,) = affine('concat'), batches(1)
    mask = (torch.arange(16) % 2).float().unsqueeze(1)
    seen = taken(guided, batch, {0: lambda x: x * mask * 1.5, 1: lambda x: x * 0})
    expected = [share.detach() for share in published(guided.model, batch)]
    torch.testing.assert_close(seen.shares(), expected)


def test_a_modality_that_the_batch_lacks_has_none():
    guided, (batch,) = affine('concat'), batches(1)
    del batch['left']
    left, right = taken(guided, batch).shares()
    bias, weight = guided.model.classifier.bias, guided.model.classifier.weight
    expected = F.linear(guided.model.right_encoder(batch['right']), weight[:, 8:], bias)
    assert left is None
    torch.testing.assert_close(right, expected.detach())


def test_where_fusion_bends_the_guides_tell():
    (batch,) = batches(1)
    for guided in (affine('bent'), classifier_guided()):
        seen = taken(guided, batch)
        assert seen.shares() is None
        assert torch.equal(share_sums(seen), confidence_sums(seen))


AFFINE = {
    'dropout': nn.Dropout(0.5),
    'convolutions': nn.Sequential(nn.Unflatten(1, (2, 8)), nn.Conv1d(2, 3, 3), nn.Flatten()),
    'batch norm in a test': nn.BatchNorm1d(16).eval(),
}
BENT = {
    'ReLU': nn.ReLU(),
    'leaky ReLU': nn.LeakyReLU(),
    'batch norm': nn.BatchNorm1d(16),
    'layer norm': nn.LayerNorm(16),
    'gate': nn.GLU(),
    'attention': nn.TransformerEncoderLayer(16, 2, 8, batch_first=True),
    'recurrence': nn.Sequential(nn.Unflatten(1, (2, 8)), nn.GRU(8, 3)),
}


@pytest.mark.parametrize('name', [*AFFINE, *BENT])
def test_the_graph_tells_what_is_affine(name):
    received = [[torch.randn(4, 8, requires_grad=True)] for _ in range(2)]
    output = {**AFFINE, **BENT}[name](torch.cat([x for own in received for x in own], 1))
    output = output[0] if isinstance(output, tuple) else output
    assert is_affine(output, received) == (name in AFFINE)
    if name in AFFINE:
        torch.testing.assert_close(sum(affine_shares(output, received, received)), output.detach())


def test_without_a_graph_the_guides_tell():
    guided, (batch,) = affine('concat'), batches(1)
    assert taken(guided, batch, {1: torch.zeros_like}).shares() is None
    guided.model.left_encoder.requires_grad_(False)
    assert taken(guided, batch).shares() is None
    guided.model.left_encoder.requires_grad_(True)
    assert taken(guided, batch).shares() is not None


@pytest.mark.parametrize('kind', ['OGM', 'OPM'])
def test_methods_take_the_split_and_train_as_before(kind):
    guided, (batch,) = affine('concat'), batches(1)
    expected = [
        s.softmax(1)[range(16), batch['label']].sum().detach() for s in published(guided.model, batch)
    ]
    wrapper = attached_wrapper(guided, balancer=dict(type=kind))
    generator = torch.get_rng_state()
    running = {name: value.clone() for name, value in guided.named_buffers()}
    guided.fuses_affinely = None
    guided.train_step(batch, wrapper)
    torch.testing.assert_close(wrapper.balancer.stats['confidence'], torch.stack(expected))
    assert guided.training and all(torch.equal(v, running[n]) for n, v in guided.named_buffers())
    if kind == 'OGM':  # OPM draws
        assert torch.equal(torch.get_rng_state(), generator)
