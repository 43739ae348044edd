import numpy as np
import pytest

from mmcggm.evaluation import SliceDiceMetric
from mmcggm.evaluation.brats.slice_dice import center_crop
from tests.test_evaluation.test_brats.samples import make_sample


def volumes():
    """Three slices of 4 x 4: one without tumour, two with."""
    pred, truth = np.zeros((2, 3, 4, 4), dtype=np.uint8)
    pred[0, 0, 0] = 1  # a false positive in a slice that does not count
    truth[1, 1, :] = [2, 2, 1, 3]
    pred[1, 1, :] = [2, 0, 1, 1]
    truth[2, 2, 1:3] = 2
    pred[2, 2, 1:] = 2
    return pred, truth


def evaluate(metric, *samples):
    metric.process({}, list(samples))
    return metric.evaluate(len(samples))


def test_by_hand():
    pred, truth = volumes()
    eps = 1e-3

    def dice(intersection, predicted, true):
        return 2 * (intersection + eps) / (predicted + true + 2 * eps)

    whole = (dice(3, 3, 4) + dice(2, 3, 2)) / 2
    core = (dice(2, 2, 2) + dice(0, 0, 0)) / 2
    enhancing = (dice(0, 0, 1) + dice(0, 0, 0)) / 2
    metrics = evaluate(SliceDiceMetric(), make_sample('a', pred, truth))
    assert metrics == pytest.approx(
        dict(
            SliceDice_WT=whole,
            SliceDice_TC=core,
            SliceDice_ET=enhancing,
            SliceDice_mean=(whole + core + enhancing) / 3,
        )
    )


def test_mean_is_over_slices_not_cases():
    pred, truth = volumes()
    metrics = evaluate(
        SliceDiceMetric(), make_sample('a', pred, truth), make_sample('b', truth[:2], truth[:2])
    )
    one = evaluate(SliceDiceMetric(), make_sample('a', pred, truth))
    assert metrics['SliceDice_WT'] == pytest.approx((2 * one['SliceDice_WT'] + 1) / 3)


def test_crop_leaves_out_the_rim():
    truth = np.zeros((1, 200, 200), dtype=np.uint8)
    truth[0, 95:105, 95:105] = 3
    pred = truth.copy()
    pred[0, :20] = 3
    assert evaluate(SliceDiceMetric(160), make_sample('a', pred, truth))['SliceDice_WT'] == 1
    assert evaluate(SliceDiceMetric(None), make_sample('a', pred, truth))['SliceDice_WT'] < 0.1


def test_center_crop():
    slices = np.arange(240 * 100).reshape(1, 240, 100)
    cropped = center_crop(slices, 160)
    assert cropped.shape == (1, 160, 100) and cropped[0, 0, 0] == slices[0, 40, 0]
    assert center_crop(slices, None) is slices


def test_no_tumour_at_all():
    empty = np.zeros((2, 4, 4), dtype=np.uint8)
    with pytest.raises(ValueError, match='no slice with tumour'):
        evaluate(SliceDiceMetric(), make_sample('a', empty, empty))
