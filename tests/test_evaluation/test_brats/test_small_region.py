"""The limit of small regions that validation data choose."""

import numpy as np
import pytest
import torch

from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.evaluation import BraTSMetric, ReplaceSmall, SmallRegionThreshold
from tests.test_evaluation.test_brats.samples import cube, make_sample


def case(name, predicted, true, spacing=(1.0, 1.0, 1.0)):
    """A tumour of which so many voxels are predicted as enhancing, and so many are."""
    pred, truth = cube(1, (2, 2, 2), 8), cube(1, (2, 2, 2), 8)
    for volume, count in ((pred, predicted), (truth, true)):
        flat = volume.reshape(-1)
        flat[np.flatnonzero(flat)[:count]] = 3
    return make_sample(name, pred, truth, spacing)


CASES = [case('a', 5, 0), case('b', 20, 0), case('c', 30, 40), case('d', 100, 120), case('e', 0, 0)]


def evaluate(metric, samples, name='gli2021'):
    metric.dataset_meta = CONVENTIONS[name].scheme.metainfo
    metric.process(None, samples)
    return metric.compute_metrics(metric.results)


def dice_at(samples, below, rule):
    """Return what BraTSMetric gives to predictions that were corrected."""
    step = ReplaceSmall(below=below) if below else lambda labels, spacing: labels
    corrected = [
        dict(s, pred_sem_seg=dict(data=step(s['pred_sem_seg']['data'], s['spacing']))) for s in samples
    ]
    return evaluate(BraTSMetric(rule=rule), corrected)['Dice_mean']


@pytest.mark.parametrize('rule', ['challenge', 'brats2021'])
def test_the_limit_is_the_best_of_all_by_the_metric(rule):
    found = evaluate(SmallRegionThreshold(rule=rule), CASES)
    by_limit = {below: dice_at(CASES, below, rule) for below in (0, 6, 21, 31, 101)}
    assert found['Dice_mean_as_predicted'] == pytest.approx(by_limit[0])
    assert found['Dice_mean_replaced'] == pytest.approx(max(by_limit.values()))
    assert found['ET_below_mm3'] == 25  # between 20, which is wrong in b, and 30, which c has
    assert max(by_limit, key=by_limit.get) == 21


def test_volumes_are_in_mm3_and_nothing_is_replaced_in_vain():
    fine = [case('b', 20, 0, (0.5, 1, 1)), case('d', 100, 120, (0.5, 1, 1))]
    assert evaluate(SmallRegionThreshold(), fine)['ET_below_mm3'] == (10 + 50) / 2
    right = [case('a', 5, 6), case('d', 100, 120)]
    found = evaluate(SmallRegionThreshold(), right)
    assert found['ET_below_mm3'] == 0 and found['Dice_mean_replaced'] == found['Dice_mean_as_predicted']
    alone = evaluate(SmallRegionThreshold(rule='brats2021'), [case('a', 5, 0)])
    assert alone['ET_below_mm3'] == 6 and alone['Dice_mean_replaced'] == 1


def test_data_without_such_labels_are_refused():
    with pytest.raises(ValueError, match=r"`by` is 'NCR'; gli2024 has background, NETC"):
        evaluate(SmallRegionThreshold(), CASES, 'gli2024')
    metric = SmallRegionThreshold()
    metric.dataset_meta = dict(classes=('a', 'b'))
    with pytest.raises(ValueError, match=r"no label convention has the classes \['a', 'b'\]"):
        metric.process(None, CASES)
    with pytest.raises(ValueError, match='no case to evaluate'):
        metric.compute_metrics([])
    with pytest.raises(ValueError, match='has no ground truth'):
        evaluate(SmallRegionThreshold(), [make_sample('x', torch.zeros(2, 2, 2, dtype=torch.uint8).numpy())])
