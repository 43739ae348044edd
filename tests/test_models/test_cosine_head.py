"""The head of modality-wise cosines against its formula, in a model and beside balancers."""

import pytest
import torch
from torch.nn import functional as F

from mmcggm.models import CosineHead
from tests.test_models.predictors import batch, build, guided_config, predictor_config
from tests.tiny import build_wrapper


def mmcosine(count: int) -> dict:
    """Return the settings of a predictor of ``count`` modalities with MMCosine."""
    dim = 8 * count
    return dict(
        widths={f'm{i}': i + 2 for i in range(count)},
        outputs=4,
        loss='CrossEntropyLoss',
        fusion=dict(type='ConcatFusion', project=False, in_channels=8, dim=dim),
        dim=dim,
        head=dict(type='CosineHead', widths=[8] * count, scale=10.0),
    )


def test_logits_are_the_papers():
    head = CosineHead(7, 3, widths=(4, 3), scale=5.0)
    x = torch.randn(2, 7)
    parts = list(zip(x.split([4, 3], dim=1), head.weight.split([4, 3], dim=1), strict=True))
    expected = sum(F.cosine_similarity(h[:, None], w[None], dim=2) for h, w in parts)
    torch.testing.assert_close(head(x), 5 * expected)


def test_no_modality_dominates_by_its_norm():
    head, x = CosineHead(7, 3, widths=(4, 3)), torch.randn(5, 7)
    logits = head(x)
    assert torch.allclose(head(x * torch.tensor([100.0] * 4 + [0.01] * 3)), logits, atol=1e-4)
    with torch.no_grad():
        head.weight[:, :4] *= 100
    torch.testing.assert_close(head(x), logits, atol=1e-4, rtol=1e-4)
    alone = head(torch.cat([x[:, :4], torch.zeros(5, 3)], dim=1))
    assert alone.abs().max() <= 10


def test_the_concatenation_is_left_as_it_is():
    model = build(predictor_config(**mmcosine(2))).eval()
    inputs = batch(dict(m0=2, m1=3))
    vectors = [model.backbone.encoders[m](x).mean(1) for m, x in inputs.items()]
    torch.testing.assert_close(model.backbone(inputs), torch.cat(vectors, dim=1))
    torch.testing.assert_close(model(inputs), model.head(torch.cat(vectors, dim=1)))


@pytest.mark.parametrize('count', [2, 3, 6])
@pytest.mark.parametrize('balancer', [None, dict(type='CGGM', rho=2.0, lam=0.2)], ids=['alone', 'CGGM'])
def test_trains_any_number_of_modalities(count, balancer):
    settings = mmcosine(count)
    model = build(
        guided_config(dict(type='ClassificationTask', target='labels'), dict(type='AutoGuide'), **settings)
    )
    adam = dict(type='Adam', lr=1e-2)
    wrapper = build_wrapper(model, optimizer=adam, guide_optimizer=adam, balancer=balancer)
    before = {name: p.clone() for name, p in model.named_parameters()}
    data = dict(inputs=batch(settings['widths']), labels=torch.tensor([0, 3, 1]))
    losses = [model.train_step(data, wrapper)['loss'].item() for _ in range(15)]
    assert losses[-1] < 0.7 * losses[0]
    assert not [name for name, p in model.named_parameters() if torch.equal(p, before[name])]


def test_mistakes_are_explained():
    with pytest.raises(ValueError, match=r'`head.widths` \[8\] add up to 8, but the fusion returns 16'):
        build(predictor_config(**{**mmcosine(2), 'head': dict(type='CosineHead', widths=[8])}))
    with pytest.raises(ValueError, match=r'`outputs` >= 2'):
        build(predictor_config(**{**mmcosine(2), 'outputs': 1}))
    fusion = dict(type='ConcatFusion', project=False, in_channels=8, dim=8)
    with pytest.raises(ValueError, match=r'have 16 channels together: set it to 16'):
        build(predictor_config(**{**mmcosine(2), 'fusion': fusion}))
