import csv
import json
import math
import sys

import numpy as np
import pytest
import torch.distributed as dist
from mmengine.dataset import DefaultSampler

from mmcggm.evaluation import BraTSMetric
from mmcggm.evaluation.brats import metric as brats_metric
from mmcggm.registry import METRICS
from tests.processes import run_processes
from tests.test_evaluation.test_brats.samples import cube, make_sample

pytest.importorskip('panoptica')


def shifted(case, shift, label=1):
    truth = cube(label, (4, 4, 4), side=8)
    return make_sample(case, np.roll(truth, shift, axis=0), truth)


def cases():
    """Five cases; the last has no enhancing tumour and the fourth misses it."""
    return [
        shifted('a', 0, label=3),
        shifted('b', 2, label=3),
        shifted('c', 4, label=3),
        make_sample('d', cube(1, (4, 4, 4), side=8), cube(3, (4, 4, 4), side=8)),
        shifted('e', 2),
    ]


def evaluate(metric, samples):
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def test_means_leave_out_undefined_cases():
    metrics = evaluate(BraTSMetric(), cases())
    whole = (1 + 0.75 + 0.5 + 1 + 0.75) / 5
    enhancing = (1 + 0.75 + 0.5 + 0) / 4
    assert metrics == pytest.approx(
        dict(
            Dice_WT=whole,
            HD95_WT=(0 + 2 + 4 + 0 + 2) / 5,
            Dice_TC=whole,
            HD95_TC=(0 + 2 + 4 + 0 + 2) / 5,
            Dice_ET=enhancing,
            HD95_ET=(0 + 2 + 4 + 373) / 4,
            Dice_mean=(2 * whole + enhancing) / 3,
            HD95_mean=(2 * 1.6 + 379 / 4) / 3,
        )
    )


def test_older_rule_counts_every_case():
    metrics = evaluate(BraTSMetric(rule='brats2021'), cases())
    assert metrics['Dice_ET'] == pytest.approx((1 + 0.75 + 0.5 + 0 + 1) / 5)


def test_region_without_any_case_is_nan():
    metrics = evaluate(BraTSMetric(), [shifted('e', 2)])
    assert math.isnan(metrics['Dice_ET'])
    assert metrics['Dice_mean'] == pytest.approx(0.75)


def test_regions_come_from_the_data_set():
    metric = BraTSMetric()
    metric.dataset_meta = dict(regions=dict(core=[1, 3]))
    assert set(evaluate(metric, cases())) == {'Dice_core', 'HD95_core', 'Dice_mean', 'HD95_mean'}


def test_distances_are_in_mm():
    truth = cube(3, (4, 4, 4), side=8)
    sample = make_sample('a', np.roll(truth, 2, axis=0), truth, spacing=(2.5, 1.0, 1.0))
    assert evaluate(BraTSMetric(), [sample])['HD95_ET'] == pytest.approx(5.0)


def test_table(monkeypatch):
    printed = []
    monkeypatch.setattr(brats_metric, 'print_log', lambda text, logger: printed.append(text))
    evaluate(BraTSMetric(), cases())
    lines = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed[0].splitlines()]
    whole = np.array([1, 0.75, 0.5, 1, 0.75])
    assert ['WT', '5', f'0.8000 ± {whole.std(ddof=1):.4f}', '1.60 ± 1.67'] in lines
    assert [line[1] for line in lines if line and line[0] == 'ET'] == ['4']


def test_row_a_case(tmp_path):
    path = tmp_path / 'new' / 'cases.csv'
    evaluate(BraTSMetric(per_case_csv=str(path)), cases())
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['case'] for row in rows] == list('abcde')
    assert list(rows[0]) == ['case', 'Dice_WT', 'HD95_WT', 'Dice_TC', 'HD95_TC', 'Dice_ET', 'HD95_ET']
    assert float(rows[1]['Dice_ET']) == 0.75 and rows[4]['Dice_ET'] == 'nan'
    assert [file.name for file in path.parent.iterdir()] == ['cases.csv']


def test_case_without_ground_truth():
    with pytest.raises(ValueError, match=r"'x' has no ground truth.*--format-only"):
        BraTSMetric().process({}, [make_sample('x', cube(1, (0, 0, 0), 2))])


def test_shapes_must_agree():
    sample = make_sample('x', cube(1, (0, 0, 0), 2), cube(1, (0, 0, 0), 2, shape=(9, 9, 9)))
    with pytest.raises(ValueError, match=r"'x'.*\(24, 24, 24\).*\(9, 9, 9\)"):
        BraTSMetric().process({}, [sample])


def test_registered():
    assert isinstance(METRICS.build(dict(type='BraTSMetric', rule='brats2021')), BraTSMetric)


def run_rank(rank, folder):
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    metric = BraTSMetric(collect_dir=f'{folder}/collect', per_case_csv=f'{folder}/cases.csv')
    samples = cases()
    for index in DefaultSampler(samples, shuffle=False):
        metric.process({}, [samples[index]])
    assert len(metric.results) == 3  # so one case is on both ranks
    (folder / f'{rank}.json').write_text(json.dumps(metric.evaluate(len(samples))))


def test_two_processes_equal_one(tmp_path):
    run_processes(run_rank, tmp_path)
    alone = evaluate(BraTSMetric(per_case_csv=str(tmp_path / 'alone.csv')), cases())
    for rank in range(2):
        assert json.loads((tmp_path / f'{rank}.json').read_text()) == alone
    assert (tmp_path / 'cases.csv').read_text() == (tmp_path / 'alone.csv').read_text()


def test_missing_panoptica_is_said_before_training(monkeypatch):
    monkeypatch.setitem(sys.modules, 'panoptica', None)
    with pytest.raises(ImportError, match=r"'panoptica' is not installed.*mmcggm\[brats\]"):
        BraTSMetric()
