import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope

from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.datasets.transforms import (
    CenterCropOrPad,
    LoadBraTSSlice,
    LoadBraTSVolume,
    PackMultimodalInputs,
    RandomRot90,
)
from mmcggm.registry import TRANSFORMS
from tests.test_datasets.test_brats.test_volume_store import write_random_case

SIX = tuple(f'm{index}' for index in range(6))
PUBLISHED = [
    dict(type='LoadBraTSSlice'),
    dict(type='CenterCropOrPad', size=16),
    dict(type='RandomRot90', ks=(0, 1, 2)),
    dict(type='RandomFlip', prob=[0.5, 0.5], direction=['horizontal', 'vertical']),
    dict(type='mmseg.BioMedicalGaussianNoise', prob=0.1, std=0.1),
    dict(type='PackMultimodalInputs'),
]


def make_slice(height, width, modalities=SIX):
    """An item whose label map tells each voxel's place, and whose channels repeat it."""
    labels = np.arange(height * width).reshape(height, width)
    image = np.stack([labels + 1000 * m for m, _ in enumerate(modalities)], axis=-1).astype(np.float32)
    return dict(img=image, gt_seg_map=labels, seg_fields=['gt_seg_map'], modalities=modalities)


def assert_aligned(results):
    for channel in range(results['img'].shape[-1]):
        np.testing.assert_array_equal(results['img'][..., channel] - 1000 * channel, results['gt_seg_map'])
    assert results['img_shape'] == results['img'].shape[:2]


@pytest.fixture
def six_modalities(tmp_path):
    write_random_case(tmp_path / 'six.h5', SIX, shape=(4, 20, 13))
    return dict(case='six', case_path=str(tmp_path / 'six.h5'), slice_index=2, modalities=SIX)


def test_a_slice_is_loaded_channels_last(six_modalities):
    results = LoadBraTSSlice()(dict(six_modalities))
    image, seg = StoredCase(six_modalities['case_path']).read_slice(2, SIX)
    assert results['img'].shape == (20, 13, 6) and results['img'].dtype == np.float32
    np.testing.assert_array_equal(np.moveaxis(results['img'], -1, 0), image)
    np.testing.assert_array_equal(results['gt_seg_map'], seg)
    assert results['seg_fields'] == ['gt_seg_map']


@pytest.mark.parametrize('divisor', [1, 16])
@pytest.mark.parametrize('name', ['BraTS2021_00001', 'BraTS-GLI-00004-000'])
def test_a_volume_is_cropped_to_the_brain_and_padded_at_the_end(brats_store, name, divisor):
    path = case_path(brats_store, name)
    stored = StoredCase(path)
    item = dict(
        case=name, case_path=str(path), ori_shape=stored.shape, spacing=stored.spacing, modalities=('t1',)
    )
    packed = PackMultimodalInputs()(LoadBraTSVolume(size_divisor=divisor)(item))

    crop, _ = stored.read_volume(['t1'], stored.brain_box)
    volume = packed['inputs']['t1']
    depth, height, width = crop.shape[1:]
    assert volume.shape[:2] == (1, depth) and volume.is_contiguous()
    padded = volume.shape[2:]
    assert padded == (-(-height // divisor) * divisor, -(-width // divisor) * divisor)
    np.testing.assert_array_equal(volume[:, :, :height, :width], crop)
    assert not volume[:, :, height:].any() and not volume[..., width:].any()

    sample = packed['data_samples']
    assert sample.crop_box == stored.brain_box and sample.ori_shape == stored.shape
    assert (sample.case, sample.case_path, sample.spacing) == (name, str(path), stored.spacing)
    if stored.has_seg:
        assert sample.gt_sem_seg.data.dtype == torch.uint8
        np.testing.assert_array_equal(sample.gt_sem_seg.data, stored.read_seg())
    else:
        assert 'gt_sem_seg' not in sample


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_crop_or_pad_keeps_the_centre(height, width, size):
    before = make_slice(height, width)
    centre = before['gt_seg_map'][
        (height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1
    ].copy()
    # Zeros are both padding and a place, so places start at 1 here.
    before['gt_seg_map'] += 1
    before['img'] += 1
    results = CenterCropOrPad(size)(before)
    assert results['gt_seg_map'].shape == size and results['img'].shape == (*size, 6)
    kept = results['gt_seg_map'] > 0
    assert kept.sum() == min(height, size[0]) * min(width, size[1])
    np.testing.assert_array_equal(results['img'][kept][:, 0], results['gt_seg_map'][kept])
    assert np.isin(centre + 1, results['gt_seg_map']).any()


def test_crop_is_the_published_window():
    results = CenterCropOrPad(160)(make_slice(240, 240))
    assert_aligned(results)
    np.testing.assert_array_equal(results['gt_seg_map'], make_slice(240, 240)['gt_seg_map'][40:200, 40:200])


@pytest.mark.parametrize(
    ('transform', 'message'),
    [
        (dict(type='CenterCropOrPad', size=[16]), r'`size` of CenterCropOrPad must be \(H, W\).*\[16\]'),
        (dict(type='CenterCropOrPad', size=0), '`size` of CenterCropOrPad'),
        (dict(type='CenterCropOrPad', size=(16, 16.0)), '`size` of CenterCropOrPad'),
        (dict(type='LoadBraTSVolume', size_divisor=0), '`size_divisor` of LoadBraTSVolume'),
        (dict(type='LoadBraTSPatch', patch_size=64), r'`patch_size` of LoadBraTSPatch must be \(D, H, W\)'),
        (dict(type='LoadBraTSPatch', patch_size=(64, 64, 0)), '`patch_size` of LoadBraTSPatch'),
    ],
)
def test_sizes_that_are_none_are_refused(transform, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(transform)


@pytest.mark.parametrize('transform', [CenterCropOrPad(2), RandomRot90()])
def test_transforms_of_slices_refuse_volumes(transform):
    volume = dict(img=np.zeros((4, 4, 4, 2), np.float32), seg_fields=[])
    with pytest.raises(ValueError, match=r'is of slices \(H, W, M\), and got \(4, 4, 4, 2\)'):
        transform(volume)


def test_quarter_turns_are_aligned_and_equally_likely():
    seen = {}
    np.random.seed(0)  # noqa: NPY002
    for _ in range(300):
        results = RandomRot90()(make_slice(3, 5))
        assert_aligned(results)
        key = results['gt_seg_map'].tobytes()
        seen[key] = seen.get(key, 0) + 1
    places = make_slice(3, 5)['gt_seg_map']
    assert set(seen) == {np.rot90(places, k).tobytes() for k in (0, 1, 2)}
    assert min(seen.values()) > 70


def test_the_published_pipeline_takes_six_modalities_and_small_slices(six_modalities):
    with DefaultScope.overwrite_default_scope('mmcggm'):
        transform = Compose(PUBLISHED)
    np.random.seed(0)  # noqa: NPY002
    batch = pseudo_collate([transform(dict(six_modalities)) for _ in range(8)])
    assert set(batch['inputs']) == set(SIX)
    for stack in batch['inputs'].values():
        assert all(x.shape == (1, 16, 16) and x.dtype == torch.float32 and x.is_contiguous() for x in stack)
    for sample in batch['data_samples']:
        assert sample.gt_sem_seg.data.shape == (1, 16, 16) and sample.gt_sem_seg.data.dtype == torch.int64
        assert (sample.case, sample.slice_index) == ('six', 2)
        assert sample.flip and sample.flip_direction in ('horizontal', 'vertical')
    assert {sample.flip_direction for sample in batch['data_samples']} == {'horizontal', 'vertical'}


def test_mmcv_and_mmseg_transforms_accept_the_layout(brats_store):
    item = dict(
        case_path=str(case_path(brats_store, 'BraTS2021_00001')),
        slice_index=12,
        modalities=('flair', 't1ce', 't1', 't2'),
    )
    with DefaultScope.overwrite_default_scope('mmcggm'):
        transform = Compose(
            [
                dict(type='LoadBraTSSlice'),
                dict(type='CenterCrop', crop_size=24),
                dict(type='mmseg.RandomRotate', prob=1.0, degree=20.0),
                dict(type='mmseg.Resize', scale=(32, 32)),
                dict(type='PackMultimodalInputs'),
            ]
        )
    packed = transform(item)
    assert packed['inputs']['t2'].shape == (1, 32, 32)
    assert packed['data_samples'].gt_sem_seg.data.shape == (1, 32, 32)


def test_packing_copies():
    results = make_slice(3, 4, ('a', 'b')) | dict(case='x')
    packed = PackMultimodalInputs()(results)
    packed['inputs']['a'].zero_()
    assert results['img'][..., 0].any()
