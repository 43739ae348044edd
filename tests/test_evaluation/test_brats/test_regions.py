import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcggm.evaluation.brats.regions import RULES, dice_and_hd95, get_rule, region_scores
from tests.test_evaluation.test_brats.samples import cube

pytest.importorskip('panoptica')
CHALLENGE, BRATS2021 = RULES['challenge'], RULES['brats2021']
SHAPE = (5, 6, 7)


def random_labels(seed, shares):
    """Return a volume in which label k takes about the share ``shares[k - 1]`` of the voxels."""
    labels = np.random.default_rng(seed).choice(4, size=SHAPE, p=[1 - sum(shares), *shares])
    return labels.astype(np.uint8)


volumes = st.builds(
    random_labels,
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.sampled_from([0, 0.01, 0.1, 0.3])] * 3),
)


@pytest.mark.parametrize(('shift', 'axis'), [(1, 0), (3, 1), (5, 2)])
def test_shifted_cube(shift, axis):
    """A cube of side 8 shifted by k overlaps itself by (8 - k)/8; the faces that move lie k away.

    The two faces are more than 5 % of the surface, so the 95th percentile is theirs.
    """
    spacing = (2.0, 1.0, 0.5)
    truth = cube(1, (4, 4, 4), side=8) > 0
    dice, hd95 = dice_and_hd95(np.roll(truth, shift, axis), truth, spacing, CHALLENGE)
    assert dice == pytest.approx((8 - shift) / 8)
    assert hd95 == pytest.approx(shift * spacing[axis])


def test_perfect_prediction():
    truth = cube(1, (4, 4, 4), side=8)
    assert region_scores(truth, truth, (1, 1, 1), CHALLENGE, dict(WT=(1, 2, 3))) == dict(WT=(1.0, 0.0))


@pytest.mark.parametrize(
    ('rule', 'both_empty', 'one_empty', 'disjoint'),
    [
        (CHALLENGE, (math.nan, math.nan), (0, 373), (0, 373)),
        (BRATS2021, (1, 0), (0, math.sqrt(2 * 240**2 + 155**2)), (0, 10)),
    ],
    ids=['challenge', 'brats2021'],
)
def test_rules(rule, both_empty, one_empty, disjoint):
    empty, mask, other = (
        labels > 0 for labels in (cube(0, (0, 0, 0), 1), cube(1, (2, 2, 2), 1), cube(1, (2, 2, 12), 1))
    )
    spacing = (1, 1, 1)
    np.testing.assert_equal(dice_and_hd95(empty, empty, spacing, rule), both_empty)
    assert dice_and_hd95(mask, empty, spacing, rule) == pytest.approx(one_empty)
    assert dice_and_hd95(empty, mask, spacing, rule) == pytest.approx(one_empty)
    assert dice_and_hd95(mask, other, spacing, rule) == pytest.approx(disjoint)


def test_unknown_rule():
    with pytest.raises(ValueError, match=r"'brats1999'.*challenge, brats2021"):
        get_rule('brats1999')


@settings(max_examples=40)
@given(volumes, volumes, st.tuples(*[st.integers(0, 3)] * 6))
def test_background_changes_nothing(pred, truth, padding):
    """Neither the crop to the bounding box nor the place of the tumour in the volume matters."""
    padding = list(zip(padding[::2], padding[1::2], strict=True))
    padded = (np.pad(volume, padding) for volume in (pred, truth))
    spacing = (3.0, 1.0, 0.7)
    np.testing.assert_equal(
        region_scores(*padded, spacing, BRATS2021), region_scores(pred, truth, spacing, BRATS2021)
    )


@settings(max_examples=40)
@given(volumes, volumes)
def test_equals_panoptica_without_crop(pred, truth):
    from panoptica.metrics import Metric

    for labels, (dice, hd95) in zip(
        ((1, 2, 3), (1, 3), (3,)), region_scores(pred, truth, (2, 1, 1), BRATS2021).values(), strict=True
    ):
        masks = dict(reference_arr=np.isin(truth, labels), prediction_arr=np.isin(pred, labels))
        if all(mask.any() for mask in masks.values()):
            assert dice == Metric.DSC(**masks)
            assert hd95 == Metric.HD95(**masks, voxelspacing=(2, 1, 1))


@pytest.fixture(scope='module')
def challenge_evaluator():
    """The challenge's own configuration of panoptica (the file; its code is not used)."""
    spec = find_spec('brats_evaluation')
    if spec is None:
        pytest.skip('BraTS-evaluation is not installed')
    from panoptica import Panoptica_Evaluator, disable_citation_reminder

    disable_citation_reminder()
    return Panoptica_Evaluator.load_from_config(Path(spec.origin).parent / 'configs' / 'config_gli.yaml')


@settings(max_examples=40)
@given(volumes, volumes)
def test_equals_challenge_evaluator(challenge_evaluator, pred, truth):
    skip = ['snfh', 'netc', 'rc']
    theirs = challenge_evaluator.evaluate(pred, truth, result_all=False, skip_groups=skip)
    for region, ours in region_scores(pred, truth, (1, 1, 1), CHALLENGE).items():
        result = theirs[region.lower()]
        hd95 = 373 if math.isinf(result.global_bin_hd95) else result.global_bin_hd95
        np.testing.assert_allclose(ours, (result.global_bin_dsc, hd95), rtol=0, atol=1e-9)
