import json
import math
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import DefaultSampler

from mmcggm.evaluation import ClassificationMetric, classification_metric
from mmcggm.registry import METRICS
from tests.processes import run_processes

KEYS = ['accuracy', 'unweighted_accuracy', 'weighted_F1', 'macro_F1', 'cross_entropy']
SCALE = 3.0  # of the logits that make_samples writes: that of the predicted class, all others being 0


def make_samples(predicted, truth, num_classes):
    return [
        dict(prediction=SCALE * torch.eye(num_classes)[p], label=torch.tensor(t))
        for p, t in zip(predicted, truth, strict=True)
    ]


def evaluate(samples, classes=None, batch_size=3):
    metric = ClassificationMetric()
    metric.dataset_meta = dict(classes=classes) if classes else None
    for start in range(0, len(samples), batch_size):
        metric.process({}, samples[start : start + batch_size])
    return metric.evaluate(len(samples))


def from_sklearn(predicted, truth, num_classes):
    logits = SCALE * np.eye(num_classes)[list(predicted)]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of classes that only one of the two holds
        return dict(
            accuracy=sk.accuracy_score(truth, predicted),
            unweighted_accuracy=sk.balanced_accuracy_score(truth, predicted),
            weighted_F1=sk.f1_score(truth, predicted, average='weighted'),
            macro_F1=sk.f1_score(truth, predicted, average='macro'),
            cross_entropy=sk.log_loss(truth, probabilities, labels=range(num_classes)),
        )


@given(data=st.data(), num_classes=st.integers(2, 7))
def test_agrees_with_scikit_learn(data, num_classes):
    label = st.integers(0, num_classes - 1)
    pairs = data.draw(st.lists(st.tuples(label, label), min_size=1, max_size=40))
    predicted, truth = zip(*pairs, strict=True)
    metrics = evaluate(make_samples(predicted, truth, num_classes))
    assert list(metrics) == KEYS
    assert metrics == pytest.approx(from_sklearn(predicted, truth, num_classes), abs=1e-6)


def test_by_hand():
    metrics = evaluate(make_samples([0, 0, 1, 1, 1], [0, 0, 0, 1, 2], 3))
    f1 = [2 * 2 / (2 + 3), 2 * 1 / (3 + 1), 0]  # 2 TP / (predicted + true)
    assert metrics == pytest.approx(
        dict(
            accuracy=3 / 5,
            unweighted_accuracy=(2 / 3 + 1 + 0) / 3,
            weighted_F1=(3 * f1[0] + f1[1] + f1[2]) / 5,
            macro_F1=sum(f1) / 3,
            cross_entropy=math.log(math.exp(SCALE) + 2) - SCALE * 3 / 5,
        )
    )


def test_class_in_neither_counts_in_no_mean():
    metrics = evaluate(make_samples([0, 1], [0, 1], 5))
    del metrics['cross_entropy']
    assert metrics == dict.fromkeys(KEYS[:4], 1.0)


def test_table_names_the_classes(monkeypatch):
    printed = []
    monkeypatch.setattr(classification_metric, 'print_log', lambda text, logger: printed.append(text))
    evaluate(make_samples([0, 0, 1, 1], [0, 1, 1, 1], 3), classes=('angry', 'happy', 'sad'))
    evaluate(make_samples([0], [0], 2))
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed[0].splitlines()]
    assert ['angry', '1', '0.5000', '1.0000', '0.6667'] in rows
    assert ['happy', '3', '1.0000', '0.6667', '0.8000'] in rows
    assert ['sad', '0', 'nan', 'nan', 'nan'] in rows
    assert '4 samples' in printed[0] and ' 1 |' in printed[1]


def test_chance_has_the_expected_accuracy():
    generator = np.random.default_rng(0)
    predicted, truth = generator.integers(4, size=(2, 4000))
    metrics = evaluate(make_samples(predicted, truth, 4), batch_size=64)
    assert all(math.isclose(metrics[key], 0.25, abs_tol=0.03) for key in KEYS[:4])


def test_other_number_of_classes_than_named():
    with pytest.raises(ValueError, match=r"predicts 3 classes.*names 2: \['a', 'b'\].*`outputs`"):
        evaluate(make_samples([0], [0], 3), classes=('a', 'b'))


@pytest.mark.parametrize('label', [3, -1, torch.tensor([0, 1, 0]), torch.tensor(0.5)])
def test_label_that_is_no_class(label):
    with pytest.raises(ValueError, match='index of one of 3 classes'):
        evaluate([dict(prediction=torch.zeros(3), label=label)])


@pytest.mark.parametrize('shape', [(1,), (2, 3), ()])
def test_prediction_that_is_no_classification(shape):
    with pytest.raises(ValueError, match=r'one score a class.*`outputs`'):
        evaluate([dict(prediction=torch.zeros(shape), label=0)])


def test_sample_without_label():
    with pytest.raises(ValueError, match='without `label`'):
        evaluate([dict(prediction=torch.zeros(3))])


def test_no_samples():
    with pytest.raises(ValueError, match='the data set is empty'):
        ClassificationMetric().compute_metrics([])


def test_registered():
    assert isinstance(METRICS.build(dict(type='ClassificationMetric')), ClassificationMetric)


def random_classes():
    generator = np.random.default_rng(1)
    return generator.integers(5, size=(2, 37)).tolist()


def run_rank(rank, folder):
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    metric = ClassificationMetric(collect_dir=f'{folder}/collect')
    samples = make_samples(*random_classes(), 5)
    for index in DefaultSampler(samples, shuffle=False):
        metric.process({}, [samples[index]])
    assert len(metric.results) == 19  # so one sample is on both ranks
    (folder / f'{rank}.json').write_text(json.dumps(metric.evaluate(len(samples))))


def test_two_processes_agree_with_scikit_learn(tmp_path):
    run_processes(run_rank, tmp_path)
    for rank in range(2):
        metrics = json.loads((tmp_path / f'{rank}.json').read_text())
        assert metrics == pytest.approx(from_sklearn(*random_classes(), 5), abs=1e-6)


def test_predictions_that_are_not_finite_have_no_score():
    metric = ClassificationMetric()
    predictions = torch.tensor([[0.0, 1.0], [math.nan, math.nan]])
    metric.process(None, [dict(prediction=prediction, label=1) for prediction in predictions])
    figures = metric.compute_metrics(metric.results)
    assert all(math.isnan(value) for value in figures.values())
    assert list(figures) == KEYS
