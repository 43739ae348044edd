"""Heads of several kinds: one, one a modality, with a computed weight, or none."""

import copy
import functools

import pytest
import torch
from torch import Tensor, nn

import mmcggm
from mmcggm.balancers.cggm_formulas import balancing_terms, direction_loss
from mmcggm.guided import AutoGuide
from tests.test_apis.loops import (
    MODALITIES,
    Fusion,
    assert_same,
    balanced_fusion,
    double_batches,
    fusion,
    parameters_of,
    train_plainly,
)

sgd = functools.partial(torch.optim.SGD, lr=0.05)
WITH_DIRECTION = dict(type='CGGM', rho='neutral', lam=0.3, progress='StepProgress')


class Late(nn.Module):
    """A head for each modality, of widths that differ; their logits are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({f'm{i}': nn.Linear(4, 6 + i) for i in range(MODALITIES)})
        self.heads = nn.ModuleDict({f'm{i}': nn.Linear(6 + i, 3) for i in range(MODALITIES)})

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.encoders.values(), self.heads.values(), x.unbind(1), strict=True)
        return torch.stack([head(torch.tanh(encoder(part))) for encoder, head, part in parts]).mean(0)


def late(**changes):
    torch.manual_seed(0)
    model = Late().double()
    heads = {f'm{i}': f'heads.m{i}' for i in range(MODALITIES)}
    return balanced_fusion(model, **{**dict(head=heads, method=WITH_DIRECTION), **changes})


def gradient_of(balanced, x, label):
    """Return the gradients of a pass's whole loss, by name, before they are scaled."""
    with balanced.watch(label):
        loss = nn.functional.cross_entropy(balanced.model(x), label)
    balanced.loss(loss).backward()
    return {name: p.grad.clone() for name, p in balanced.model.named_parameters() if 'mmcggm' not in name}


def test_each_head_is_compared_with_its_guide():
    """The gradient is that of L_task + λ L_gm, L_gm written down with each modality's own head."""
    balanced = late()
    balanced.prepare(sgd(balanced.model.parameters()))
    ((x, label),) = double_batches(1)
    copied, guides = copy.deepcopy(balanced.model), copy.deepcopy(balanced.guides)
    found = gradient_of(balanced, x, label)

    loss = nn.functional.cross_entropy(copied(x), label)
    scores, cosines = [], []
    for part, (name, encoder) in zip(x.unbind(1), copied.encoders.items(), strict=True):
        prediction = guides[name](encoder(part).detach())
        own = nn.functional.cross_entropy(prediction, label)
        (fixed,) = torch.autograd.grad(own, guides[name].last_layer.weight)
        (grad,) = torch.autograd.grad(loss, copied.heads[name].weight, create_graph=True)
        cosines.append(nn.functional.cosine_similarity(grad.flatten(), fixed.flatten(), dim=0))
        scores.append((prediction.argmax(1) == label).double().mean())
    terms, _ = balancing_terms(torch.stack(scores), 1e-6)
    (loss + 0.3 * direction_loss(terms, torch.stack(cosines))).backward()
    for name, parameter in copied.named_parameters():
        if 'mmcggm' not in name:
            torch.testing.assert_close(found[name], parameter.grad, atol=1e-7, rtol=1e-5)


def test_one_head_by_modality_is_one_head():
    results = [
        train_plainly(balanced_fusion(method=WITH_DIRECTION, head=head), sgd, double_batches(5))
        for head in ('classifier', {f'm{i}': 'classifier' for i in range(MODALITIES)})
    ]
    assert_same(*results, atol=0)


@pytest.mark.parametrize('wrap', [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
def test_a_weight_normed_head_is_compared_by_its_weight(wrap):
    """A weight norm that is just applied changes neither the function nor the gradient at the weight."""
    grads = []
    for wrapped in (False, True):
        model = fusion()
        if wrapped:
            wrap(model.classifier)
        balanced = balanced_fusion(model, method=WITH_DIRECTION, guide=fixed_guide())
        balanced.prepare(sgd(model.parameters()))
        grads.append(gradient_of(balanced, *double_batches(1)[0]))
        assert balanced.stats()['cos/m0'] != 0
    for name in ('encoders.m0.weight', 'encoders.m2.bias', 'classifier.bias'):
        torch.testing.assert_close(grads[1][name], grads[0][name], atol=1e-10, rtol=0)


def fixed_guide():
    """Return a guide with seeded weights, whatever was drawn before."""
    torch.manual_seed(3)
    return LinearGuide().double()


class LinearGuide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last_layer = nn.Linear(8, 3)

    def forward(self, h: Tensor) -> Tensor:
        return self.last_layer(h)


def test_guides_of_a_weight_normed_head_learn():
    model = fusion()
    nn.utils.parametrizations.weight_norm(model.classifier)
    balanced = balanced_fusion(model, method=WITH_DIRECTION)
    before = parameters_of(balanced.guides)
    train_plainly(balanced, sgd, double_batches(2))
    assert all(not torch.equal(a, b) for a, b in zip(before, balanced.guides.parameters(), strict=True))


def test_without_a_head_there_is_no_direction():
    guide = dict(type='AutoGuide', head=nn.Linear(8, 3))
    results = [
        train_plainly(balanced_fusion(**settings), sgd, double_batches(5))
        for settings in (
            dict(head=None, guide=guide, method=WITH_DIRECTION),
            dict(guide=guide, method={**WITH_DIRECTION, 'direction': 'none'}),
        )
    ]
    assert_same(*results, atol=0)


WITHOUT = dict(head=None, guide=dict(type='AutoGuide', head=nn.Linear(8, 3)))


@pytest.mark.parametrize(
    ('make', 'method'),
    [
        *((functools.partial(balanced_fusion, **WITHOUT), name) for name in ('MLA', 'PMR', 'CGGM')),
        *((late, name) for name in ('MLA', 'PMR')),
    ],
)
def test_methods_that_need_one_head_say_so(make, method):
    balanced = make(method=dict(type='CGGM', lam=0.1, direction='gradient') if method == 'CGGM' else method)
    balanced.prepare(sgd(balanced.model.parameters()))
    with pytest.raises(ValueError, match=rf'^{method} needs '):
        gradient_of(balanced, *double_batches(1)[0])


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(head=None), r"without a `head` .*guide=dict\(type='AutoGuide', head="),
        (dict(head=dict(m0='classifier')), r"`head` must be one path, or name one for each of \['m0', 'm1'"),
        (dict(head='encoders.m1'), "'encoders.m1' belongs to the encoder of 'm1'"),
        (
            dict(encoders=dict(m0=['encoders.m0', 'classifier'], m1='encoders.m1')),
            "'classifier' belongs to the encoder of 'm0'",
        ),
        (dict(encoders=dict(a='encoders', b='encoders.m0')), 'share parameters'),
        (
            dict(
                encoders=dict(
                    a=dict(modules='encoders.m0', representation='encoders.m2'),
                    b=dict(modules='encoders.m1', representation='encoders.m2'),
                )
            ),
            "representations of 'a' and 'b' are the same",
        ),
    ],
)
def test_what_is_not_a_head_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        balanced_fusion(Fusion().double(), **settings)


def test_a_frozen_head_is_refused():
    model = fusion()
    model.classifier.requires_grad_(False)
    with pytest.raises(ValueError, match="weight of 'classifier' is frozen"):
        mmcggm.balance(model, 'encoders', 'classifier', 'classification')


def test_a_guide_is_like_a_weight_normed_convolution():
    head = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 3, 3, padding=1, bias=False))
    last = AutoGuide(head, in_channels=8).last_layer
    assert isinstance(last.weight, nn.Parameter) and last.bias is None
    assert last(torch.ones(1, 8, 4, 4)).shape == head(torch.ones(1, 8, 4, 4)).shape
