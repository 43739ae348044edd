"""Networks of regions, in slices and volumes: training with guides, losses, and prediction of labels."""

from itertools import combinations

import monai.losses
import pytest
import torch
from mmengine.config import Config
from torch import nn
from torch.nn import functional as F

from mmcggm.balancers import LFM
from mmcggm.balancers.methods.reconboost import overlap
from mmcggm.balancers.pairwise_losses import divergence
from mmcggm.balancers.scores import scores_from_counts
from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.datasets.brats.region_map import RegionMap
from mmcggm.engine import DataCheckHook
from mmcggm.models import MonaiLoss
from mmcggm.models.outputs import BinaryOutputs, LabelOutputs, RegionOutputs, outputs_of
from tests.segmentors import CONFIGS, SMALL, build
from tests.segmentors import slices as slices_of
from tests.test_engine.test_hooks.test_data_check_hook import runner_of
from tests.test_models.test_brats_networks_3d import patches

MODALITIES = ('flair', 't1ce', 't1', 't2')


def region_unet(dims, guided=True, test_cfg=None, **decode_head):
    """The model of ``cggm/brats_unet{,3d}_regions.py`` with few channels and three levels."""
    cfg = Config.fromfile(CONFIGS / 'cggm' / f'brats_unet{"3d" if dims == 3 else ""}_regions.py').model
    cfg.model.backbone.encoder.channels = SMALL
    cfg.model.backbone.fusion.in_channels = cfg.model.backbone.fusion.out_channels = SMALL
    cfg.model.decode_head.in_channels = SMALL
    cfg.guide.head.update(in_channels=SMALL[1:], in_index=[1, 2], channels=SMALL[0])
    if dims == 3:
        cfg.model.backbone.encoder.strides = (1, 2, 2)
        cfg.model.decode_head.update(strides=(2, 2), deep_supervision=(0.5,))
        cfg.model.test_cfg.patch_size = (8, 8, 8)
    cfg.model.decode_head.update(decode_head)
    cfg.model.test_cfg.update(test_cfg or {})
    torch.manual_seed(0)
    return build(cfg if guided else cfg.model)


def batch_of(dims):
    return slices_of(MODALITIES) if dims == 2 else patches(size=16, count=1)


@pytest.mark.parametrize('dims', [2, 3])
def test_regions_train_with_guides_whose_score_is_that_of_the_labels(dims):
    model, (inputs, samples) = region_unet(dims), batch_of(dims)
    losses = model(inputs, samples, mode='loss')
    levels = {'decode.level1.loss_dice_bce'} if dims == 3 else set()
    assert set(losses) == {'decode.loss_dice_bce', *levels, *(f'guide_{m}.loss' for m in MODALITIES)}
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.take_pass().counts().shape == (4, 3, 2)


@pytest.mark.parametrize('dims', [2, 3])
def test_a_guide_that_predicts_the_regions_of_the_truth_scores_one(dims):
    model, (_, samples) = region_unet(dims), batch_of(dims)
    labels = torch.stack([sample.gt_sem_seg.data.reshape((16,) * dims) for sample in samples])
    masks = RegionMap('gli2023').masks(labels)
    batch = dict(data_samples=samples)
    perfect = model.task.counts(model.model, masks.float() * 20 - 10, batch)
    assert scores_from_counts(perfect.unsqueeze(0)).item() == pytest.approx(1)
    assert model.task.loss(model.model, masks.float() * 40 - 20, batch) < 1e-4
    sure = model.task.confidences(model.model, masks.float() * 40 - 20, batch)
    torch.testing.assert_close(sure, torch.ones(len(samples)))
    unsure = model.task.confidences(model.model, torch.zeros_like(masks, dtype=torch.float), batch)
    torch.testing.assert_close(unsure, torch.full((len(samples),), 0.25))


def test_methods_that_compare_probabilities_of_classes_take_those_of_the_labels():
    model, (inputs, samples) = region_unet(2), batch_of(2)
    model(inputs, samples, mode='loss')
    seen, region_map = model.take_pass(), RegionMap('gli2023')
    labels = [region_map.label_logits(prediction) for prediction in seen.predictions()]
    method = LFM(alpha=0.5, matching='divergence')
    expected = sum(divergence(a, b) for a, b in combinations(labels, 2)) / 6
    torch.testing.assert_close(method._matching_loss(seen), expected)
    p = region_map.label_logits(seen.output).softmax(1)
    torch.testing.assert_close(overlap(seen, seen, 'all'), (p * p.log()).sum(1).mean())


@pytest.mark.parametrize('dims', [2, 3])
@pytest.mark.parametrize('gamma', [0.0, 2.0])
def test_the_loss_is_dice_and_binary_cross_entropy_or_focal_loss_of_the_masks(dims, gamma):
    loss = MonaiLoss('DiceFocalLoss', regions='gli2021', gamma=gamma, batch=True, loss_weight=2.0)
    logits = torch.randn(2, 3, *(5,) * dims, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, *(5,) * dims))
    t = torch.stack([labels > 0, (labels == 1) | (labels == 3), labels == 3], 1).double()
    p, axes = logits.sigmoid(), (0, *range(2, 2 + dims))
    dice = (2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)
    entropy = F.binary_cross_entropy_with_logits(logits, t, reduction='none')
    missing = torch.where(t > 0, 1 - p, p)
    expected = 2 * (1 - dice.mean() + (missing**gamma * entropy).mean())
    # MONAI's focal loss is in float32.
    torch.testing.assert_close(loss(logits, labels, ignore_index=255), expected, rtol=1e-6, atol=0)


def test_losses_of_regions_keep_their_precision_in_half_precision():
    loss, labels = MonaiLoss('DiceLoss', regions='gli2023', batch=True), torch.ones(1, 300, 300).long()
    logits = torch.full((1, 3, 300, 300), -4.0)
    torch.testing.assert_close(loss(logits.half(), labels), loss(logits, labels))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(name='DiceCELoss'), r"cross-entropy of DiceCELoss .* `name='DiceFocalLoss', gamma=0\.0`"),
        (dict(name='DiceLoss', softmax=True), 'DiceLoss with softmax=True is of labels'),
        (dict(name='FocalLoss', use_softmax=True), 'FocalLoss with use_softmax=True'),
        (dict(name='DiceLoss', to_onehot_y=True), 'with to_onehot_y=True'),
        (dict(name='DiceLoss', include_background=False), 'with include_background=False'),
        (dict(name='DiceLoss', regions='gli1999'), r"`loss_decode\.regions`.*'gli1999'"),
    ],
)
def test_losses_of_labels_are_refused_for_regions(settings, message):
    with pytest.raises(ValueError, match=message):
        MonaiLoss(**{'regions': 'gli2023', **settings})


def test_a_single_region_may_have_a_cross_entropy():
    labels, logits = torch.randint(0, 2, (2, 4, 4)), torch.randn(2, 1, 4, 4)
    found = MonaiLoss('DiceCELoss', regions='menrt2024')(logits, labels)
    mask = labels.unsqueeze(1).float()
    expected = monai.losses.DiceLoss(sigmoid=True)(logits, mask) + F.binary_cross_entropy_with_logits(
        logits, mask
    )
    torch.testing.assert_close(found, expected)


def test_heads_whose_losses_disagree_are_refused():
    regions = dict(type='MonaiLoss', name='DiceLoss', regions='gli2023')
    label_loss = dict(type='mmseg.CrossEntropyLoss')
    with pytest.raises(ValueError, match=r'`loss_decode\[1\]`, a CrossEntropyLoss, is of labels.*WT, TC, ET'):
        region_unet(2, loss_decode=[regions, label_loss])
    with pytest.raises(ValueError, match=r'`loss_decode\[1\]`.* is of WT, TC, ET, RC'):
        region_unet(2, loss_decode=[regions, dict(regions, regions='gli2024')])
    with pytest.raises(ValueError, match=r'`num_classes` of the decode head is 4.*`num_classes=3`'):
        region_unet(3, num_classes=4)
    with pytest.raises(ValueError, match='has 4 channels: set `num_classes=3`'):
        MonaiLoss('DiceLoss', regions='gli2023')(torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2))


@pytest.mark.parametrize('moment', ['train', 'val', 'test'])
def test_regions_that_the_data_lack_are_refused_before_training(moment):
    model, check = region_unet(3), getattr(DataCheckHook(), f'before_{moment}')
    check(runner_of(model, CONVENTIONS['gli2021'].scheme.metainfo))
    check(runner_of(model, {}))
    with pytest.raises(ValueError, match=rf'`{moment}_dataloader`.*tells 4 classes apart.* the data have 5'):
        check(runner_of(model, CONVENTIONS['gli2024'].scheme.metainfo))
    other = dict(CONVENTIONS['gli2021'].scheme.metainfo, regions=dict(WT=(1, 2, 3), ET=(1,)))
    with pytest.raises(ValueError, match=r'`loss_decode\.regions` has .*ET = 3, but in the data ET = 1'):
        check(runner_of(model, other))


def test_a_segmentor_that_knows_nothing_of_regions_is_refused():
    other = nn.Sequential(MonaiLoss('DiceLoss', regions='gli2023'))
    with pytest.raises(
        ValueError, match='only MultimodalSegmentor and VolumeSegmentor turn regions into labels'
    ):
        DataCheckHook().before_train(runner_of(other, CONVENTIONS['gli2021'].scheme.metainfo))


@pytest.mark.parametrize('dims', [2, 3])
def test_a_volume_gets_the_labels_and_probabilities_of_its_regions(dims, monkeypatch):
    model = region_unet(dims, guided=False).eval()
    model.test_cfg.probabilities = True
    logits = torch.randn(3, 4, 8, 8) * 3
    monkeypatch.setattr(model, 'volume_logits', lambda volume: logits)
    box, full = ((1, 5), (2, 9), (3, 11)), (6, 12, 12)
    _, (sample, _) = patches()
    sample.set_metainfo(dict(crop_box=box, ori_shape=full))
    (found,) = model({m: torch.zeros(1, 1, 4, 8, 8) for m in MODALITIES}, [sample], mode='predict')
    inside = (slice(1, 5), slice(2, 9), slice(3, 11))
    expected = model.outputs.label_logits(logits[None]).argmax(1)[0].to(torch.uint8)[:, :7]
    labels, probabilities = found.pred_sem_seg.data, found.probabilities
    assert torch.equal(labels[inside], expected) and labels.count_nonzero() == expected.count_nonzero()
    torch.testing.assert_close(probabilities[(slice(None), *inside)], logits.sigmoid()[:, :, :7])
    assert torch.equal(model.outputs.label_map(probabilities[None])[0], labels)
    assert probabilities.shape == (3, *full) and not probabilities[:, 0].any()


def test_a_slice_gets_the_labels_of_its_regions():
    model, (inputs, samples) = region_unet(2, guided=False).eval(), batch_of(2)
    nn.init.normal_(model.decode_head.conv_seg.weight, std=3)
    for sample in samples:
        sample.set_metainfo(dict(ori_shape=(16, 16), img_shape=(16, 16)))
    with torch.no_grad():
        found = model(inputs, samples, mode='predict')
        expected = RegionMap('gli2023').label_logits(model(inputs)).argmax(1)
    assert len(expected.unique()) > 2
    assert torch.equal(torch.stack([sample.pred_sem_seg.data[0] for sample in found]), expected)


@pytest.mark.parametrize('dims', [2, 3])
def test_labels_are_corrected_in_the_whole_volume_and_probabilities_are_not(dims, monkeypatch):
    steps = [dict(type='KeepLargest'), dict(type='ReplaceSmall', below=17)]
    model = region_unet(dims, guided=False, test_cfg=dict(post_processing=steps, probabilities=True)).eval()
    logits = torch.full((3, 4, 8, 8), -9.0)
    logits[:, 1:3, 2:6, 2:4] = 9  # 16 voxels of enhancing tumour
    logits[:2, 1:3, 2:6, 4:6] = 9  # beside it of necrosis
    logits[:, 0, 7, 7] = 9
    monkeypatch.setattr(model, 'volume_logits', lambda volume: logits.clone())
    _, (sample, _) = patches()
    sample.set_metainfo(dict(crop_box=((1, 5), (0, 8), (0, 8)), ori_shape=(6, 8, 8), spacing=(1, 1, 1)))
    (found,) = model({m: torch.zeros(1, 1, 4, 8, 8) for m in MODALITIES}, [sample], mode='predict')
    expected = torch.zeros(6, 8, 8, dtype=torch.uint8)
    expected[2:4, 2:6, 2:6] = 1
    assert torch.equal(found.pred_sem_seg.data, expected)
    torch.testing.assert_close(found.probabilities[:, 1:5], logits.sigmoid())


def test_corrections_of_other_labels_are_refused():
    step = dict(type='ReplaceSmall', below=1, labels='gli2024', by='NETC')
    with pytest.raises(
        ValueError, match=r'`test_cfg\.post_processing\[0\]` is of 5 classes.* has 4 classes and the'
    ):
        region_unet(3, test_cfg=dict(post_processing=[step]))
    with pytest.raises(
        ValueError, match=r"`test_cfg\.post_processing\[1\]\.type`: .*'KeepLargset'\. Did you"
    ):
        region_unet(3, test_cfg=dict(post_processing=[dict(type='KeepLargest'), dict(type='KeepLargset')]))
    model = region_unet(2, test_cfg=dict(post_processing=[dict(type='ReplaceSmall', below=1)]))
    other = dict(CONVENTIONS['gli2021'].scheme.metainfo, regions=dict(WT=(1, 2, 3), TC=(1, 2), ET=(3,)))
    with pytest.raises(ValueError, match=r'`loss_decode\.regions`|`test_cfg\.post_processing`'):
        DataCheckHook().before_test(runner_of(model, other))


def test_one_channel_is_a_label_above_the_threshold_of_the_head():
    class Head(nn.Module):
        loss_decode, threshold, out_channels = nn.BCEWithLogitsLoss(), 0.3, 1

    outputs, p = outputs_of(Head()), torch.tensor([[[0.29, 0.31, 0.9]]])
    assert isinstance(outputs, BinaryOutputs)
    torch.testing.assert_close(outputs.probabilities(p.logit()), p)
    assert outputs.label_map(p).tolist() == outputs.decision(p.logit()).argmax(1).tolist() == [[0, 1, 1]]
    torch.testing.assert_close(outputs.label_logits(p.logit()).softmax(1)[:, 1:], p)


def test_certain_probabilities_stay_labels():
    """Of saturated sigmoids that contradict each other, too."""
    certain = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 0, 1]]).T[None]
    assert RegionOutputs(RegionMap('gli2023')).label_map(certain).tolist() == [[3, 2, 0, 2]]
    assert LabelOutputs(3).label_map(certain).tolist() == [[0, 0, 2, 0]]
