"""Random 3D patches: what they hold, where they lie, what they cost, and that they can be drawn again."""

from collections import Counter

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from monai.data import get_track_meta, set_track_meta

from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.cases import MODALITIES
from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.datasets.transforms import LoadBraTSPatch, MonaiTransforms
from mmcggm.engine.resumable_data import PlacedIndex, SeededDataset
from tests.test_datasets.test_brats.test_volume_store import write_random_case

CASE = 'BraTS2021_00001'
UNLABELLED = 'BraTS-GLI-00004-000'
BOTH = ('img', 'gt_seg_map')
FLIPS = [dict(type='RandFlipd', keys=BOTH, prob=0.5, spatial_axis=axis) for axis in range(3)]


def item(store, case=CASE):
    return dict(case_path=str(case_path(store, case)), modalities=MODALITIES)


def seeded(seed):
    np.random.seed(seed)  # noqa: NPY002


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(1, 30), st.integers(1, 40), st.integers(1, 48)),
    tumour=st.sampled_from([0.0, 1.0]),
)
def test_a_patch_is_a_part_of_the_volume_and_zero_beyond_it(brats_store, seed, size, tumour):
    seeded(seed)
    results = LoadBraTSPatch(size, tumour)(item(brats_store))
    case = StoredCase(case_path(brats_store, CASE))
    volume, seg = case.read_volume(MODALITIES)
    margin = max(size)
    inside = tuple(slice(start + margin, end + margin) for start, end in results['patch_box'])
    padded = np.pad(volume, [(0, 0), *[(margin, margin)] * 3])
    np.testing.assert_array_equal(np.moveaxis(results['img'], -1, 0), padded[(slice(None), *inside)])
    np.testing.assert_array_equal(results['gt_seg_map'], np.pad(seg, margin)[inside])
    assert results['img'].shape == (*size, 4) and results['img'].dtype == np.float32
    assert results['gt_seg_map'].shape == size and results['gt_seg_map'].dtype == np.uint8
    assert not tumour or results['gt_seg_map'].any()
    for (start, end), (low, high) in zip(results['patch_box'], case.brain_box, strict=True):
        assert (low <= start and end <= high) or end - start > high - low


def test_the_share_of_tumour_is_that_of_the_config_and_its_parts_are_seen_alike(brats_store):
    """Patches of one voxel tell what they are centred on."""
    case = StoredCase(case_path(brats_store, CASE))
    seg = case.read_seg()
    box = seg[tuple(slice(*bounds) for bounds in case.brain_box)]
    by_chance = np.bincount(box.ravel(), minlength=4)[1:] / box.size
    transform = LoadBraTSPatch((1, 1, 1), tumour=0.5)
    seeded(0)
    draws = Counter(int(transform(item(brats_store))['gt_seg_map'].item()) for _ in range(300))
    assert 1 - draws[0] / 300 == pytest.approx(0.5 + 0.5 * by_chance.sum(), abs=0.08)
    held = [np.unique(seg[z][seg[z] > 0]) for z in case.tumour_slices]
    for label in (1, 2, 3):
        centred = np.mean([(label in labels) / len(labels) for labels in held])
        expected = 0.5 * centred + 0.5 * by_chance[label - 1]
        assert draws[label] / 300 == pytest.approx(expected, abs=0.08)


def test_only_the_blocks_of_a_patch_are_read(tmp_path):
    path = tmp_path / f'{CASE}.h5'
    image, seg = write_random_case(path, MODALITIES, shape=(16, 100, 120))
    with h5py.File(path) as file:
        depth, _, height, width = file['image'].chunks
        chunk = file['image'].id.get_chunk_info_by_coord((0, 0, 0, 0))
    with open(path, 'r+b') as file:
        file.seek(chunk.byte_offset)
        file.write(b'\x5a' * chunk.size)
    case = StoredCase(path)
    whole = [(0, size) for size in case.shape]
    for axis, beyond in enumerate((depth, height, width)):
        box = [*whole]
        box[axis] = (beyond, case.shape[axis])
        inside = tuple(slice(*bounds) for bounds in box)
        part, labels = case.read_volume(MODALITIES, tuple(box))
        np.testing.assert_allclose(part, image[(slice(None), *inside)], rtol=2**-10, atol=2**-20)
        np.testing.assert_array_equal(labels, seg[inside])
        box[axis] = (beyond - 1, case.shape[axis])
        with pytest.raises(OSError, match='cannot be read'):
            case.read_volume(MODALITIES, tuple(box))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(patch_size=(8, 8)), r'`patch_size` of LoadBraTSPatch must be \(D, H, W\)'),
        (dict(patch_size=(8, 8, 8), tumour=1.5), '`tumour` .* between 0 and 1, got 1.5'),
    ],
)
def test_settings_of_patches_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        LoadBraTSPatch(**arguments)


def test_patches_need_a_segmentation_and_are_counted(brats_store):
    dataset = BraTSDataset(str(brats_store), split='all', sample='patch', patches=3)
    volumes = BraTSDataset(str(brats_store), split=['train', 'val', 'test'], sample='volume')
    assert len(dataset) == 3 * len(volumes)
    with pytest.raises(ValueError, match="no segmentation, which sample='patch' needs"):
        BraTSDataset(str(brats_store), split='unlabelled', sample='patch')
    with pytest.raises(ValueError, match=r"`patches` is 2; .*needs sample='patch'"):
        BraTSDataset(str(brats_store), sample='volume', patches=2)
    with pytest.raises(ValueError, match='no segmentation, which LoadBraTSPatch needs'):
        LoadBraTSPatch((4, 4, 4))(item(brats_store, UNLABELLED))


def test_a_place_in_the_training_tells_patch_and_augmentation(brats_store):
    """Whatever was drawn before, which is why a resumed training equals the uninterrupted one."""
    noise = dict(type='RandGaussianNoised', keys='img', prob=1.0)
    with DefaultScope.overwrite_default_scope('mmcggm'):
        pipeline = Compose(
            [
                dict(type='LoadBraTSPatch', patch_size=(8, 8, 8)),
                dict(type='MonaiTransforms', steps=[*FLIPS, noise]),
                dict(type='PackMultimodalInputs'),
            ]
        )
    dataset = BraTSDataset(str(brats_store), split='all', sample='patch', pipeline=[pipeline])
    placed = SeededDataset(dataset, seed=3)

    def at(number, position):
        packed = placed[PlacedIndex(0, (number, position))]
        assert packed['inputs']['t1'].shape == (1, 8, 8, 8)
        target = packed['data_samples'].gt_sem_seg.data
        assert target.shape == (8, 8, 8) and target.dtype == torch.int64
        return packed['inputs']['t1']

    first = at(0, 0)
    later = at(1, 0)
    assert not torch.equal(first, later)
    np.random.random()  # noqa: NPY002
    assert torch.equal(at(1, 0), later) and torch.equal(at(0, 0), first)


def test_transforms_of_monai_move_image_and_labels_together():
    places = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    transform = MonaiTransforms(FLIPS)
    seen = set()
    for seed in range(20):
        seeded(seed)
        results = dict(
            img=np.stack([places, places + 100], axis=-1).astype(np.float32),
            gt_seg_map=places.copy(),
        )
        results = transform(results)
        assert results['gt_seg_map'].dtype == places.dtype and results['img'].dtype == np.float32
        np.testing.assert_array_equal(results['img'][..., 0], results['gt_seg_map'])
        np.testing.assert_array_equal(results['img'][..., 1], results['gt_seg_map'] + 100)
        seen.add(results['gt_seg_map'].tobytes())
    assert len(seen) > 3


def test_transforms_of_monai_leave_its_settings_as_they_were():
    for kept in (True, False):
        set_track_meta(kept)
        try:
            MonaiTransforms(FLIPS)(
                dict(img=np.zeros((2, 2, 2, 1), np.float32), gt_seg_map=np.zeros((2, 2, 2), np.uint8))
            )
            assert get_track_meta() == kept
        finally:
            set_track_meta(True)


@pytest.mark.parametrize(
    ('step', 'message'),
    [
        (dict(type='RandFlipp', keys='img'), r"`steps\[0\]\.type`.*'RandFlipp'.*Did you mean 'RandFlipd'"),
        (dict(type='RandFlip'), "no dictionary transform 'RandFlip'"),
        (dict(type='RandFlipd', keys=('image',)), r"`steps\[0\]\.keys`.*\['img', 'gt_seg_map'\]"),
        (dict(type='RandFlipd'), r'`steps\[0\]\.keys`'),
    ],
)
def test_transforms_that_monai_lacks_are_named(step, message):
    with pytest.raises(ValueError, match=message):
        MonaiTransforms([step])


def sample_with_labels():
    """Return a patch of two modalities, of which the first shows the labels: 3 around 1."""
    labels = np.zeros((8, 10, 12), np.uint8)
    labels[2:6, 2:8, 2:9] = 3
    labels[3:5, 4:6, 4:6] = 1
    noise = np.random.default_rng(0).standard_normal(labels.shape)
    return dict(img=np.stack([labels, noise], axis=-1).astype(np.float32), gt_seg_map=labels)


@pytest.mark.parametrize(
    ('step', 'message'),
    [
        (dict(type='RandFlipd', keys='img', prob=1.0), 'RandFlipd moves voxels of img alone'),
        (dict(type='SpatialPadd', keys='gt_seg_map', spatial_size=(16, 16, 16)), 'of gt_seg_map alone'),
        (dict(type='RandZoomd', keys=BOTH, prob=1.0, min_zoom=1.3, max_zoom=1.4), "mode 'nearest'"),
        (dict(type='RandGaussianNoised', keys=BOTH, prob=1.0), "no integers, such as .*`keys='img'`"),
        (dict(type='ConvertToMultiChannelBasedOnBratsClassesd', keys=BOTH[1]), r'labels \(3, 8, 10, 12\)'),
        (dict(type='Transposed', keys='img', indices=(0, 3, 2, 1)), r'beside an image of \(12, 10, 8\)'),
        (dict(type='RepeatChanneld', keys='img', repeats=2), '4 channels of the 2 modalities'),
        (
            dict(type='RandCropByPosNegLabeld', keys=BOTH, label_key='gt_seg_map', spatial_size=(4, 4, 4)),
            'other than one sample.*LoadBraTSPatch',
        ),
    ],
)
def test_transforms_of_monai_that_tear_image_and_labels_apart_are_refused(step, message):
    with pytest.raises(ValueError, match=message) as raised:
        MonaiTransforms([FLIPS[0], step])(sample_with_labels())
    assert f'`steps[1]` of MonaiTransforms: {step["type"]} ' in str(raised.value)


def test_what_moves_voxels_keeps_labels_on_the_image():
    modes = dict(keys=BOTH, prob=1.0, mode=('nearest', 'nearest'), padding_mode='zeros')
    steps = [
        dict(type='RandAffined', rotate_range=(0.3, 0.3, 0.3), **modes),
        dict(type='RandSimulateLowResolutiond', keys='img', prob=0.0),
        dict(type='DivisiblePadd', keys=BOTH, k=8),
    ]
    results = MonaiTransforms(steps)(sample_with_labels())
    assert set(np.unique(results['gt_seg_map'])) == {0, 1, 3}
    np.testing.assert_array_equal(results['img'][..., 0], results['gt_seg_map'])
