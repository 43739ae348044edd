"""The networks of the BraTS configs: shapes, sizes, and training through the guided model."""

import pytest
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample

from mmcggm.models import MultimodalBackbone, UNetEncoder
from tests.segmentors import CONFIGS, SMALL, build, slices, small_unet


def volume(modalities, shape=(5, 16, 16), box=((1, 5), (2, 14), (3, 17)), full=(8, 20, 20)):
    present = dict.fromkeys(modalities, True)
    sample = SegDataSample(metainfo=dict(crop_box=box, ori_shape=full, case='a', present=present))
    return {m: torch.randn(1, 1, *shape) for m in modalities}, [sample]


@pytest.mark.parametrize('count', [2, 4, 6])
def test_unet_trains_with_any_number_of_modalities(count):
    modalities = [f'm{i}' for i in range(count)]
    model = small_unet(modalities)
    inputs, samples = slices(modalities)
    losses = model(inputs, samples, mode='loss')
    assert {f'guide_{m}.loss' for m in modalities} < set(losses)
    total, _ = model.parse_losses(losses)
    total.backward()
    seen = model.take_pass()
    assert seen.counts().shape == (count, 3, 2)
    assert all(p.grad is not None for p in model.parameters())


def test_encoders_see_their_own_modality_alone():
    model = small_unet(guided=False)
    inputs, _ = slices(model.backbone.encoders)
    inputs['t1'].requires_grad_()
    with torch.no_grad():
        features = {m: e(inputs[m]) for m, e in model.backbone.encoders.items()}
    assert [f.shape for f in features['flair']] == [
        (2, c, 16 // 2**i, 16 // 2**i) for i, c in enumerate(SMALL)
    ]
    assert len({id(p) for e in model.backbone.encoders.values() for p in e.parameters()}) == sum(
        len(list(e.parameters())) for e in model.backbone.encoders.values()
    )


def test_a_stem_with_a_stride_halves_the_levels_and_keeps_the_size_of_the_prediction():
    model = small_unet(guided=False, stem_stride=2)
    inputs, samples = slices(model.backbone.encoders)
    levels = model.backbone.encoders['flair'](inputs['flair'])
    assert [level.shape for level in levels] == [(2, c, 8 // 2**i, 8 // 2**i) for i, c in enumerate(SMALL)]
    model.parse_losses(model(inputs, samples, mode='loss'))[0].backward()
    assert all(p.grad is not None for p in model.parameters())
    volumes = {modality: torch.randn(1, 5, 16, 16) for modality in inputs}
    assert model.eval().volume_logits(volumes).shape == (4, 5, 16, 16)


def test_volumes_are_predicted_as_their_slices_and_put_back_in_place():
    model = small_unet(guided=False).eval()
    inputs, samples = volume(model.backbone.encoders, shape=(5, 16, 16), box=((1, 5), (2, 14), (3, 17)))
    with torch.no_grad():
        (result,) = model(inputs, samples, mode='predict')
        by_slice = torch.cat([model({m: v[:, :, z] for m, v in inputs.items()}).argmax(1) for z in range(5)])
    labels = result.pred_sem_seg.data
    assert labels.shape == (8, 20, 20) and labels.dtype == torch.uint8
    assert torch.equal(labels[1:5, 2:14, 3:17], by_slice[:4, :12, :14].to(torch.uint8))
    labels[1:5, 2:14, 3:17] = 0
    assert not labels.any()


def test_slices_per_pass_changes_nothing():
    model = small_unet(guided=False).eval()
    inputs, samples = volume(model.backbone.encoders)
    results = []
    for count in (1, 3, 100):
        model.test_cfg['slices_per_pass'] = count
        with torch.no_grad():
            results.append(model(inputs, samples, mode='predict')[0].pred_sem_seg.data.clone())
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_batches_are_stacked_by_modality():
    preprocess = build(dict(type='MultimodalDataPreprocessor', mean=dict(a=1.0), std=dict(a=2.0)))
    data = dict(
        inputs=dict(a=[torch.ones(1, 2, 2), torch.full((1, 2, 2), 3.0)], b=[torch.zeros(3)] * 2), other=1
    )
    result = preprocess(data, True)
    assert result['inputs']['a'].shape == (2, 1, 2, 2) and result['inputs']['a'][1].unique().tolist() == [1]
    assert result['inputs']['b'].shape == (2, 3) and result['other'] == 1


def test_unequal_samples_are_named():
    preprocess = build(dict(type='MultimodalDataPreprocessor'))
    with pytest.raises(ValueError, match=r"modality 'a'.*batch_size=1"):
        preprocess(dict(inputs=dict(a=[torch.ones(1, 2, 2), torch.ones(1, 2, 3)])), True)


@pytest.mark.parametrize(('stem_stride', 'factor'), [(1, 4), (2, 8)])
def test_indivisible_sizes_are_refused(stem_stride, factor):
    encoder = UNetEncoder(channels=SMALL, stem_stride=stem_stride)
    assert encoder(torch.randn(1, 1, 16, 16 + factor))[-1].shape[-1] == 16 // factor + 1
    with pytest.raises(ValueError, match=f'divisible by {factor}'):
        encoder(torch.randn(1, 1, 16, 16 + factor // 2))


def test_missing_modality_is_named():
    model = small_unet(guided=False)
    inputs, samples = slices(('flair', 't1ce', 't1'))
    with pytest.raises(KeyError, match=r"lacks the modalities \['t2'\]"):
        model(inputs, samples, mode='loss')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(encoders=dict(c={})), r"`encoders` names \['c'\]"),
        (dict(encoders=dict(a={})), r"No encoder for \['b'\]"),
    ],
)
def test_backbone_needs_an_encoder_a_modality(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultimodalBackbone(modalities=('a', 'b'), fusion={}, **arguments)


def test_the_papers_network_has_235_million_parameters():
    cfg = Config.fromfile(CONFIGS / 'cggm' / 'brats_deeplabv3plus_r101.py')
    with torch.device('meta'):
        model = build(cfg.model)
    assert round(sum(p.numel() for p in model.model.parameters()) / 1e6) == 235
    assert {tuple(g.last_layer.weight.shape) for g in model.guides.values()} == {(4, 256, 1, 1)}


def test_the_papers_network_trains_with_a_small_backbone():
    cfg = Config.fromfile(CONFIGS / 'cggm' / 'brats_deeplabv3plus_r101.py').model
    cfg.model.backbone.encoder.backbone.update(depth=50, base_channels=4, stem_channels=4)
    cfg.model.backbone.encoder.update(in_channels=128, channels=8)
    cfg.model.backbone.fusion.in_channels = (16, 8)
    cfg.model.decode_head.update(in_channels=(64, 32), low_channels=4, channels=8)
    cfg.guide.head.update(in_channels=(16, 8), low_channels=4, channels=8)
    model = build(cfg)
    inputs, samples = slices(('flair', 't1ce', 't1', 't2'), size=32)
    low, high = model.model.backbone.encoders['t1'](inputs['t1'])
    assert low.shape == (2, 16, 8, 8) and high.shape == (2, 8, 2, 2)
    total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    total.backward()
    assert all(p.grad is not None for p in model.parameters())
