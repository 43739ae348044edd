"""The 3D networks of the BraTS configs: training through the guided model, and the sliding window."""

import itertools

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from monai.inferers import SlidingWindowInferer
from torch.utils.flop_counter import FlopCounterMode

from mmcggm.models import MonaiLoss, UNet3DEncoder
from tests.segmentors import CONFIGS, build

MODALITIES = ('flair', 't1ce', 't1', 't2')
SMALL = (4, 6, 8)


def small_unet(strides=(1, 2, 2), deep_supervision=(0.5,), guided=True):
    """The model of ``cggm/brats_unet3d.py`` with few channels and three levels."""
    cfg = Config.fromfile(CONFIGS / 'cggm' / 'brats_unet3d.py').model
    cfg.model.backbone.encoder.update(channels=SMALL, strides=strides)
    cfg.model.backbone.fusion.in_channels = cfg.model.backbone.fusion.out_channels = SMALL
    cfg.model.decode_head.update(in_channels=SMALL, strides=strides[1:], deep_supervision=deep_supervision)
    cfg.guide.head.update(in_channels=SMALL[1:], in_index=[1, 2], channels=SMALL[0])
    cfg.model.test_cfg.patch_size = (8 * strides[0],) * 3
    torch.manual_seed(0)
    return build(cfg if guided else cfg.model)


def patches(size=8, count=2):
    generator = torch.Generator().manual_seed(0)
    labels = [torch.randint(0, 4, (size,) * 3, generator=generator) for _ in range(count)]
    said = dict(present=dict.fromkeys(MODALITIES, True))
    samples = [SegDataSample(metainfo=said, gt_sem_seg=PixelData(data=label)) for label in labels]
    return {m: torch.randn(count, 1, *(size,) * 3, generator=generator) for m in MODALITIES}, samples


@pytest.mark.parametrize('strides', [(1, 2, 2), (2, 2, 2)])
def test_unet_trains_with_guides_and_deep_supervision(strides):
    model = small_unet(strides)
    losses = model(*patches(size=16, count=1), mode='loss')
    expected = {'decode.loss_dice_ce', 'decode.level1.loss_dice_ce', *(f'guide_{m}.loss' for m in MODALITIES)}
    assert set(losses) == expected
    total, _ = model.parse_losses(losses)
    total.backward()
    assert model.take_pass().counts().shape == (4, 3, 2)
    assert all(p.grad is not None for p in model.parameters())


def test_deep_supervision_adds_its_weighted_losses_and_nothing_to_a_prediction():
    plain, deep = small_unet(deep_supervision=()), small_unet(deep_supervision=(0.5,))
    plain.load_state_dict(deep.state_dict(), strict=False)
    batch = patches()
    found, expected = (model.model(*batch, mode='loss') for model in (deep, plain))
    assert torch.equal(found['decode.loss_dice_ce'], expected['decode.loss_dice_ce'])
    deep.model.decode_head.deep_supervision = (1.5,)
    tripled = deep.model(*batch, mode='loss')['decode.level1.loss_dice_ce']
    torch.testing.assert_close(tripled, 3 * found['decode.level1.loss_dice_ce'])
    assert torch.equal(deep.model(batch[0]), plain.model(batch[0]))


@pytest.mark.parametrize('name', ['brats_unet3d', 'brats_unet3d_small'])
def test_guides_cost_less_than_a_tenth_of_the_step(name):
    """Counted in multiplications of the forward pass at the config's own patches, on no device."""
    cfg = Config.fromfile(CONFIGS / 'cggm' / f'{name}.py')
    size = cfg.train_pipeline[0].patch_size
    with torch.device('meta'):
        model = build(cfg.model)
        inputs = {m: torch.zeros(1, 1, *size) for m in MODALITIES}

        def flops(run):
            counter = FlopCounterMode(display=False)
            with counter, torch.no_grad():
                run()
            return counter.get_total_flops()

        plain = flops(lambda: model.model(inputs))
        pyramids = {m: encoder(inputs[m]) for m, encoder in model.model.backbone.encoders.items()}
        guides = flops(lambda: [model.guides[m](pyramids[m]) for m in MODALITIES])
    assert 0 < guides < 0.1 * plain
    quarter = tuple(length // 4 for length in size)
    assert model.guides.t1(pyramids['t1']).shape[2:] == quarter


def test_the_dice_and_cross_entropy_are_those_of_the_formula():
    loss = MonaiLoss(
        'DiceCELoss', to_onehot_y=True, softmax=True, batch=True, include_background=False, loss_weight=2.0
    )
    logits = torch.randn(2, 4, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 4, (2, 3, 4, 5))
    p, t = logits.softmax(1), torch.nn.functional.one_hot(labels, 4).movedim(-1, 1)
    axes = (0, 2, 3, 4)
    dice = (2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)
    expected = 2 * (1 - dice[1:].mean() + torch.nn.functional.cross_entropy(logits, labels))
    torch.testing.assert_close(loss(logits, labels, ignore_index=255), expected)


def test_a_loss_that_monai_lacks_and_weights_of_voxels_are_refused():
    with pytest.raises(ValueError, match=r"monai\.losses has no 'DiceCE'.*'DiceCELoss'"):
        MonaiLoss('DiceCE')
    with pytest.raises(ValueError, match=r'takes no weights of voxels'):
        MonaiLoss('DiceLoss', softmax=True)(
            torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2), weight=torch.ones(1, 2, 2)
        )


@pytest.mark.parametrize('name', ['DiceLoss', 'DiceCELoss', 'GeneralizedDiceLoss', 'TverskyLoss'])
def test_a_loss_that_would_take_logits_for_probabilities_is_refused(name):
    with pytest.raises(ValueError, match=rf'`loss_decode`: {name} would take the logits.*`softmax=True`'):
        MonaiLoss(name, to_onehot_y=True)
    logits, labels = torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long)
    with pytest.raises(
        ValueError, match=rf'`loss_decode`: {name} compares the 2 channels.*`to_onehot_y=True`'
    ):
        MonaiLoss(name, softmax=True)(logits, labels)
    assert MonaiLoss(name, sigmoid=True)(logits[:, :1], labels).isfinite()  # of one channel


@pytest.mark.parametrize('shape', [(5, 8, 13), (11, 9, 20), (3, 4, 5)])
@pytest.mark.parametrize('windows', [1, 3])
def test_windows_of_a_network_without_context_agree_with_the_whole(shape, windows, monkeypatch):
    """Of logits that depend on the voxel alone each weighted mean is the value itself."""
    model = small_unet(guided=False).eval()
    model.test_cfg.update(windows_per_pass=windows, probabilities=True, overlap=0.5)
    mix = torch.randn(4, 4)

    def per_voxel(inputs, metas):
        assert all(volume.shape[2:] == (8, 8, 8) for volume in inputs.values())
        return torch.einsum('km,nmdhw->nkdhw', mix, torch.cat(list(inputs.values()), dim=1))

    monkeypatch.setattr(model, 'encode_decode', per_voxel)
    volume = {m: torch.randn(1, 1, *shape) for m in MODALITIES}
    (result,) = model(volume, mode='predict')
    expected = per_voxel_logits(mix, volume)
    assert torch.equal(result.pred_sem_seg.data, expected.argmax(0).to(torch.uint8))
    torch.testing.assert_close(result.probabilities, expected.softmax(0))


def per_voxel_logits(mix, volume):
    return torch.einsum('km,mdhw->kdhw', mix, torch.cat([v[0] for v in volume.values()]))


@torch.no_grad()
@pytest.mark.parametrize('shape', [(8, 8, 8), (5, 13, 10), (17, 3, 9)])
def test_the_sliding_window_is_monais(shape):
    """Of a network with context, in volumes that windows do not divide and that are smaller than one."""
    model = small_unet(guided=False).eval()
    model.test_cfg.update(overlap=0.25, windows_per_pass=3)
    volume = torch.randn(1, 4, *shape)
    inferer = SlidingWindowInferer((8, 8, 8), sw_batch_size=2, overlap=0.25, mode='gaussian')
    expected = inferer(volume, lambda patches: model(dict(zip(MODALITIES, patches.split(1, 1), strict=True))))
    found = model.volume_logits({m: volume[0, i : i + 1] for i, m in enumerate(MODALITIES)})
    torch.testing.assert_close(found, expected[0], rtol=0, atol=1e-5)


@torch.no_grad()
def test_overlapping_windows_are_averaged_with_gaussian_weights():
    model = small_unet(guided=False).eval()
    model.test_cfg.update(overlap=0.5)
    volume = {m: torch.randn(1, 12, 8, 8) for m in MODALITIES}
    axis = torch.exp(-((torch.arange(8) - 3.5) ** 2) / (2 * (0.125 * 8) ** 2))
    weights = torch.einsum('d,h,w->dhw', axis, axis, axis).clamp(min=1e-3)
    total, weight = torch.zeros(4, 12, 8, 8), torch.zeros(12, 8, 8)
    for start in (0, 4):
        part = {m: v[None, :, start : start + 8] for m, v in volume.items()}
        total[:, start : start + 8] += weights * model(part)[0]
        weight[start : start + 8] += weights
    torch.testing.assert_close(model.volume_logits(volume), total / weight, rtol=1e-3, atol=1e-3)


def test_a_crop_is_put_back_in_its_place():
    model = small_unet(guided=False).eval()
    box, full = ((1, 7), (2, 14), (3, 17)), (8, 20, 20)
    sample = SegDataSample(metainfo=dict(crop_box=box, ori_shape=full))
    volume = {m: torch.randn(1, 1, 6, 12, 14) for m in MODALITIES}
    with torch.no_grad():
        (result,) = model(volume, [sample], mode='predict')
        expected = model.volume_logits({m: v[0] for m, v in volume.items()}).argmax(0)
    labels = result.pred_sem_seg.data
    assert labels.shape == full and labels.dtype == torch.uint8
    assert torch.equal(labels[1:7, 2:14, 3:17], expected.to(torch.uint8))
    labels[1:7, 2:14, 3:17] = 0
    assert not labels.any()


def test_settings_that_do_not_fit_are_refused():
    cfg = Config.fromfile(CONFIGS / 'baseline' / 'brats_unet3d_small.py').model
    for test_cfg in (dict(mode='whole'), dict(mode='slide', patch_size=(8, 8))):
        with pytest.raises(ValueError, match=r"test_cfg=dict\(mode='slide'"), torch.device('meta'):
            build({**cfg, 'test_cfg': test_cfg})
    for wrong in (dict(patch_size=64), dict(patch_size=(0, 64, 64)), dict(patch_size=(64.0, 64, 64))):
        with pytest.raises(ValueError, match=r"test_cfg=dict\(mode='slide'"), torch.device('meta'):
            build({**cfg, 'test_cfg': {**cfg.test_cfg, **wrong}})
    for key, values in dict(overlap=(1, -0.1, '0.5', (0.5, 0.5)), windows_per_pass=(0, -1, 1.5)).items():
        for value in values:
            with pytest.raises(ValueError, match=rf'`test_cfg\.{key}` must be'), torch.device('meta'):
                build({**cfg, 'test_cfg': {**cfg.test_cfg, key: value}})
    with pytest.raises(ValueError, match=r'divisible by 16.*got \(64, 64, 72\)'), torch.device('meta'):
        build({**cfg, 'test_cfg': {**cfg.test_cfg, 'patch_size': (64, 64, 72)}})
    model = small_unet(guided=False)
    with pytest.raises(ValueError, match=r'takes volumes \(N, C, D, H, W\)'):
        model({m: torch.zeros(1, 1, 8, 8) for m in MODALITIES}, mode='predict')
    for shape in ((8, 8, 10), (4, 4, 4)):
        with pytest.raises(ValueError, match='divisible by 4, the product of its `strides`, and not all'):
            UNet3DEncoder(channels=SMALL, strides=(1, 2, 2))(torch.zeros(1, 1, *shape))
    with pytest.raises(ValueError, match=r'`encoder\.strides`'):
        UNet3DEncoder(channels=SMALL, strides=(1, 2))
    for wrong in (dict(strides=(2,)), dict(deep_supervision=(1.0, 1.0))):
        with pytest.raises(ValueError, match=rf'`decode_head\.{next(iter(wrong))}`'):
            build({**cfg.decode_head, 'in_channels': SMALL, 'strides': (2, 2), **wrong})


@pytest.mark.parametrize(
    ('setting', 'message'),
    [
        (dict(strides=(2, 1)), r'`decode_head\.strides` is \[2, 1\].*\(8, 8, 8\), \(4, 4, 4\), \(2, 2, 2\)'),
        (dict(in_channels=(4, 6, 10)), r'`decode_head\.in_channels` is \[4, 6, 10\].* \[4, 6, 8\] channels'),
        (dict(in_channels=(4, 6), strides=(2,)), r'`decode_head\.in_channels` is \[4, 6\].* 3 levels'),
    ],
)
def test_a_decoder_of_other_levels_is_refused(setting, message):
    model = small_unet(deep_supervision=(), guided=False)
    cfg = Config.fromfile(CONFIGS / 'baseline' / 'brats_unet3d.py').model.decode_head
    given = {**dict(in_channels=SMALL, strides=(2, 2)), **setting}
    model.decode_head = build({**cfg, **given, 'deep_supervision': ()})
    with pytest.raises(ValueError, match=message):
        model(*patches(count=1), mode='loss')


def test_labels_of_other_voxels_than_the_image_are_refused():
    model = small_unet(guided=False)
    inputs, _ = patches(count=1)
    for labels, message in (
        ((9, 8, 8), r"case 'a'.*\(8, 8, 8\), and labels of \(9, 8, 8\)"),
        (None, 'no segm'),
    ):
        sample = SegDataSample(metainfo=dict(case='a'))
        if labels is not None:
            sample.gt_sem_seg = PixelData(data=torch.zeros(labels, dtype=torch.long))
        with pytest.raises(ValueError, match=message):
            model(inputs, [sample], mode='loss')


def test_a_network_of_monai_takes_all_sequences_as_channels():
    cfg = Config.fromfile(CONFIGS / 'baseline' / 'brats_segresnet3d.py').model
    cfg.decode_head.network.update(init_filters=8, blocks_down=(1, 1), blocks_up=(1,))
    cfg.test_cfg.patch_size = (8, 8, 8)
    model = build(cfg)
    inputs, samples = patches()
    total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    total.backward()
    assert all(p.grad is not None for p in model.parameters())
    network = model.eval().decode_head.network
    with torch.no_grad():
        stacked = torch.cat([inputs[m] for m in MODALITIES], dim=1)
        assert torch.equal(model(inputs), network(stacked))
        shuffled = dict(itertools.islice(itertools.cycle(inputs.items()), 1, 5))
        assert torch.equal(model(shuffled), network(stacked))
    with pytest.raises(KeyError, match=r"lacks the modalities \['t2'\]"):
        model({m: inputs[m] for m in MODALITIES[:3]}, samples, mode='loss')
    cfg.decode_head.network.type = 'SegRezNet'
    with pytest.raises(ValueError, match=r"`decode_head\.network\.type`.*Did you mean 'SegResNet'"):
        build(cfg)


MONAI_UNET = dict(type='UNet', channels=(4, 8, 8), strides=(2, 2), norm='batch')
DYN_UNET = dict(
    type='DynUNet', kernel_size=[3, 3, 3], strides=[1, 2, 2], upsample_kernel_size=[2, 2], filters=[4, 8, 8]
)


@pytest.mark.parametrize(
    ('network', 'size', 'message'),
    [
        (MONAI_UNET, (8, 8, 10), r'UNet cannot take patches of \(8, 8, 10\)\. .*`patch_size`'),
        (DYN_UNET, (10, 8, 8), r'DynUNet cannot take patches of \(10, 8, 8\)'),
        (dict(type='SwinUNETR', feature_size=12), (48, 32, 32), r'SwinUNETR cannot .*divisible by 2\*\*5'),
        (
            {**DYN_UNET, 'deep_supervision': True, 'deep_supr_num': 1},
            (8, 8, 8),
            r'but in training it returns \(2, 2, 4, 8, 8, 8\)\. Turn off its deep',
        ),
        (dict(type='BasicUNetPlusPlus', features=(4, 4, 4, 4, 4, 4)), (32,) * 3, 'it returns a list'),
        (dict(type='DynUNet'), (8, 8, 8), '`decode_head.network`: .*missing 3 required positional arguments'),
        (dict(type='swin_unetr'), (32,) * 3, "no 'swin_unetr'. Did you mean 'SwinUNETR'"),
    ],
    ids=['UNet', 'DynUNet', 'SwinUNETR', 'deep supervision', 'list', 'arguments', 'module'],
)
def test_what_a_network_of_monai_cannot_take_is_refused_before_training(network, size, message):
    cfg = Config.fromfile(CONFIGS / 'baseline' / 'brats_segresnet3d.py').model
    cfg.test_cfg.patch_size = size
    cfg.decode_head.network = network
    with pytest.raises(ValueError, match=message):
        build(cfg)


def test_asking_a_network_of_monai_changes_nothing_in_it():
    cfg = Config.fromfile(CONFIGS / 'baseline' / 'brats_segresnet3d.py').model
    cfg.test_cfg.patch_size, cfg.decode_head.network = (8, 8, 8), MONAI_UNET
    head = build(cfg).decode_head
    before = {key: value.clone() for key, value in head.network.state_dict().items()}
    head.check_size((16, 8, 8))
    assert head.network.training and all(module.training for module in head.network.modules())
    assert all(torch.equal(value, before[key]) for key, value in head.network.state_dict().items())
    assert head((torch.zeros(2, 4, 16, 8, 8),)).shape == (2, 4, 16, 8, 8)
