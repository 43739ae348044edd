"""The figures of sentiment analysis, against scikit-learn, scipy and numbers by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mmengine.logging import MMLogger
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from mmcggm.evaluation import SentimentMetric
from tests.processes import run_processes


def samples(pred, truth) -> list[dict]:
    return [
        dict(prediction=torch.tensor([p], dtype=torch.float32), label=torch.tensor(t, dtype=torch.float32))
        for p, t in zip(pred, truth, strict=True)
    ]


def evaluate(pred, truth, batch_size: int = 4) -> dict:
    metric, data = SentimentMetric(), samples(pred, truth)
    for start in range(0, len(data), batch_size):
        metric.process({}, data[start : start + batch_size])
    return metric.evaluate(len(data))


def reference(pred, truth) -> dict:
    """The same figures by scikit-learn and scipy, on classes as strings."""
    pred, truth = np.float64(np.float32(pred)), np.float64(np.float32(truth))

    def rounded(x, bound):
        return [str(int(np.rint(min(max(value, -bound), bound)))) for value in x]

    def binary(name, positive, keep):
        classes = [['yes' if positive(v) else 'no' for v in x[keep]] for x in (truth, pred)]
        if not keep.any():
            return {f'Acc2_{name}': math.nan, f'F1_{name}': math.nan}
        f1 = f1_score(*classes, average='weighted')
        return {f'Acc2_{name}': accuracy_score(*classes), f'F1_{name}': f1}

    return dict(
        MAE=mean_absolute_error(truth, pred),
        Corr=pearsonr(truth, pred).statistic,
        Acc7=accuracy_score(rounded(truth, 3), rounded(pred, 3)),
        Acc5=accuracy_score(rounded(truth, 2), rounded(pred, 2)),
        **binary('nonneg', lambda v: v >= 0, truth < 9),
        **binary('pos', lambda v: v > 0, truth != 0),
    )


def test_by_hand():
    #        exact  sign wrong  zero label  cut at 3  halves to even
    pred = [1.0, -0.5, 0.2, 5.0, 0.5]
    truth = [1.0, 0.6, 0.0, 3.0, -0.4]
    found = evaluate(pred, truth)
    assert found['MAE'] == pytest.approx((0 + 1.1 + 0.2 + 2 + 0.9) / 5)
    assert found['Acc7'] == pytest.approx(4 / 5)  # −0.5 rounds to 0, and 0.6 to 1
    assert found['Acc5'] == pytest.approx(4 / 5)
    assert found['Acc2_nonneg'] == pytest.approx(3 / 5)
    assert found['Acc2_pos'] == pytest.approx(2 / 4)
    # Non-negative: 3 of 4 predicted and 3 of 4 true; negative: none found.
    assert found['F1_nonneg'] == pytest.approx(4 / 5 * 3 / 4)
    assert found['F1_pos'] == pytest.approx(3 / 4 * 2 / 3)
    assert found['Corr'] == pytest.approx(np.corrcoef(pred, truth)[0, 1])


sentiments = hnp.arrays(
    np.float32, st.shared(st.integers(2, 60), key='n'), elements=st.floats(-4, 4, width=32)
)
halves = hnp.arrays(
    np.float32, st.shared(st.integers(2, 60), key='n'), elements=st.integers(-8, 8).map(lambda v: v / 2)
)


@settings(max_examples=150)
@given(pred=st.one_of(sentiments, halves), truth=st.one_of(sentiments, halves))
def test_agrees_with_scikit_learn_and_scipy(pred, truth):
    found = evaluate(pred, truth)
    if np.float64(pred).std() < 1e-3 or np.float64(truth).std() < 1e-3:
        pred, truth = pred + 1e-2 * np.arange(len(pred)), truth + 1e-2 * np.arange(len(truth))
        found = evaluate(pred, truth)
    assert found == pytest.approx(reference(pred, truth), abs=1e-6, nan_ok=True)


def test_what_is_undefined_is_nan():
    found = evaluate([1, 1, 1], [0, 0, 0])
    assert math.isnan(found['Corr']) and math.isnan(found['Acc2_pos']) and math.isnan(found['F1_pos'])
    assert found['MAE'] == 1 and found['Acc2_nonneg'] == 1
    assert math.isnan(evaluate([1], [2])['Corr'])


@pytest.fixture
def log(caplog, monkeypatch):
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [caplog.handler])
    return caplog


@pytest.mark.parametrize(
    ('truth', 'nonneg', 'pos'),
    [
        ([1, 2, 3], 'all 3 labels are zero or positive', 'all 3 labels are positive or zero'),
        ([0, 2, 3], 'all 3 labels are zero or positive', 'all 3 labels are positive or zero'),
        ([-1, -2, -3], 'all 3 labels are negative', 'all 3 labels are negative or zero'),
        ([-1, 0, 0], None, 'all 3 labels are negative or zero'),
        ([0, 0, 0], 'all 3 labels are zero or positive', 'all 3 labels are zero'),
        ([-1, 0, 1], None, None),
    ],
)
def test_a_sign_that_tells_nothing_is_said(log, truth, nonneg, pos):
    evaluate([1, -1, 2], truth)
    warnings = [record.message for record in log.records if record.levelname == 'WARNING']
    expected = [('Acc2_nonneg and F1_nonneg', nonneg), ('Acc2_pos and F1_pos', pos)]
    assert warnings == [f'{names} tell nothing: {what}.' for names, what in expected if what]


def test_what_is_cut_is_counted(log):
    evaluate([4, -2.5, 0, 3], [3, -3.5, 6, 1])
    assert 'Acc7 cut 2 labels and 1 predictions to [−3, 3]' in log.text
    assert 'Acc5 cut 3 labels and 3 predictions to [−2, 2]' in log.text


def test_the_names_and_their_order():
    expected = ['MAE', 'Corr', 'Acc7', 'Acc5', 'Acc2_nonneg', 'F1_nonneg', 'Acc2_pos', 'F1_pos']
    assert list(evaluate([1, 2], [2, -1])) == expected


@pytest.mark.parametrize(
    ('sample', 'shapes'),
    [
        (dict(prediction=torch.zeros(1)), r'\[\(1,\), None\]'),
        (dict(prediction=torch.zeros(4), label=torch.zeros(())), r'\[\(4,\), \(\)\]'),
        (dict(prediction=torch.zeros(1), label=torch.zeros(2)), r'\[\(1,\), \(2,\)\]'),
    ],
)
def test_samples_without_one_number_are_refused(sample, shapes):
    with pytest.raises(ValueError, match=f'a `prediction` and a `label` of one number.*{shapes}.*outputs=1'):
        SentimentMetric().process({}, [sample])


def test_no_sample_at_all():
    with pytest.raises(ValueError, match='SentimentMetric has no sample'):
        SentimentMetric().compute_metrics([])


def random_sentiments() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(-15, 16, 37) / 5
    return truth + rng.normal(size=37), truth


def evaluate_on_rank(rank: int, folder: Path) -> None:
    """Take every other sample, as the sampler deals them; the last one is dealt twice."""
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    metric, data = SentimentMetric(), samples(*random_sentiments())
    data.append(data[0])
    metric.process({}, data[rank::2])
    metrics = metric.evaluate(len(data) - 1)
    if rank == 0:
        torch.save(metrics, folder / 'metrics.pt')


def test_two_processes_equal_one(tmp_path):
    run_processes(evaluate_on_rank, tmp_path)
    found = torch.load(tmp_path / 'metrics.pt')
    assert found == evaluate(*random_sentiments())
    assert found == pytest.approx(reference(*random_sentiments()), abs=1e-6)
