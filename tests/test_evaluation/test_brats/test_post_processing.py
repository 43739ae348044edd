"""Corrections of labels: on volumes made by hand, and against the libraries."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.evaluation import KeepLargest, ReplaceSmall
from mmcggm.registry import POST_PROCESSING
from tests.test_evaluation.test_brats.samples import cube

ONE_MM = (1.0, 1.0, 1.0)


def glioma(side=3):
    """A cube of edema, in it one of necrosis and one of ``side``³ voxels of enhancing tumour."""
    volume = cube(2, (2, 2, 2), 16)
    volume[5:8, 5:8, 5:8] = 1
    volume[10 : 10 + side, 10 : 10 + side, 10 : 10 + side] = 3
    return torch.from_numpy(volume)


@pytest.mark.parametrize(
    ('spacing', 'below', 'replaced'),
    [
        (ONE_MM, 27, False),  # 3³ mm³ are not less than 27
        (ONE_MM, 27.5, True),
        ((2.0, 1.0, 0.5), 27, False),
        ((2.0, 2.0, 1.5), 161, False),  # 27 voxels of 6 mm³ are 162 mm³
        ((2.0, 2.0, 1.5), 163, True),
    ],
)
def test_a_region_is_replaced_if_its_volume_in_mm3_is_less(spacing, below, replaced):
    labels = glioma()
    found = ReplaceSmall(below=below)(labels, spacing)
    assert torch.equal(found, torch.where(labels == 3, 1, labels) if replaced else labels)
    assert found.dtype == torch.uint8 and (glioma() == labels).all()


def test_what_counts_is_all_of_the_region_in_the_volume():
    labels = glioma()
    labels[20, 20, 20] = 3
    assert torch.equal(ReplaceSmall(below=28)(labels, ONE_MM), labels)


def test_names_are_those_of_the_challenge():
    """The enhancing tumour of children is another label than that of gliomas."""
    labels = torch.tensor([[[1, 2, 3, 4]]], dtype=torch.uint8)
    assert ReplaceSmall(2, by='NET', labels='ped2024')(labels, ONE_MM).tolist() == [[[2, 2, 3, 4]]]
    assert ReplaceSmall(2, by='NETC', labels='gli2024')(labels, ONE_MM).tolist() == [[[1, 2, 1, 4]]]
    cavity = KeepLargest('RC', labels='gli2024')(torch.tensor([[[4, 0, 4, 4]]], dtype=torch.uint8), None)
    assert cavity.tolist() == [[[0, 0, 4, 4]]]


def test_largest_components_are_kept():
    labels = glioma()
    labels[0, 0, 0] = 3
    labels[20:22, 20:22, 20:22] = 2
    one = KeepLargest()(labels, None)
    assert torch.equal(one, glioma())
    two = KeepLargest(components=2)(labels, None)
    assert two[20, 20, 20] == 2 and two[0, 0, 0] == 0
    necrotic = KeepLargest('ET', by='NCR')(labels, None)
    assert necrotic[0, 0, 0] == 1 and torch.equal(necrotic == 3, glioma() == 3)
    assert not KeepLargest()(torch.zeros(3, 3, 3, dtype=torch.uint8), None).any()


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.4))
def test_the_largest_component_is_scipys(seed, share):
    generator = np.random.default_rng(seed)
    labels = generator.integers(1, 4, (6, 7, 8), dtype=np.uint8) * (generator.random((6, 7, 8)) < share)
    components, count = scipy.ndimage.label(labels > 0, np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel(), minlength=2)[1:]
    found = KeepLargest()(torch.from_numpy(labels), None).numpy()
    kept = components[found > 0]
    assert np.count_nonzero(found) == sizes.max() and len(np.unique(kept)) == min(count, 1)
    np.testing.assert_array_equal(found[found > 0], labels[found > 0])


@pytest.mark.parametrize(
    ('step', 'message'),
    [
        (
            dict(type='ReplaceSmal', below=1),
            r"`key\.type`: there is no post-processing 'ReplaceSmal'.*ReplaceSmall",
        ),
        (dict(type='ReplaceSmall'), r"`key`: ReplaceSmall needs 'below'"),
        (dict(type='ReplaceSmall', below=0), '`below` must be a positive volume in mm³, got 0'),
        (dict(type='ReplaceSmall', below=1, region='EN'), "`region` is 'EN'; gli2023 has WT, TC, ET"),
        (dict(type='ReplaceSmall', below=1, by='NET'), "`by` is 'NET'; gli2023 has background, NCR, ED, ET"),
        (dict(type='ReplaceSmall', below=1, by='ET'), '`by`, ET, is itself in the region ET'),
        (dict(type='ReplaceSmall', below=1, labels='gli2022'), "no label convention 'gli2022'"),
        (dict(type='KeepLargest', components=0), '`components` must be at least 1, got 0'),
    ],
)
def test_settings_that_do_not_fit_are_refused(step, message):
    with pytest.raises(ValueError, match=message):
        POST_PROCESSING.build(step, key='key')


def test_volumes_need_the_size_of_voxels():
    with pytest.raises(ValueError, match=r'`spacing` must be in `meta_keys`'):
        ReplaceSmall(below=1)(glioma(), None)


def test_other_data_are_refused():
    step, children = ReplaceSmall(below=1, labels='gli2024', by='NETC'), CONVENTIONS['ped2024'].scheme
    step.check_data(CONVENTIONS['met2025'].scheme.classes, CONVENTIONS['met2025'].scheme.regions)
    with pytest.raises(
        ValueError, match=r'`test_cfg\.post_processing`: ReplaceSmall: .*in the data WT = 1\+2\+3\+4'
    ):
        step.check_data(children.classes, children.regions)
