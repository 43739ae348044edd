"""What a model reaches with each subset of its modalities."""

import pytest
import torch

from mmcggm.engine.subsets import evaluate_subsets
from mmcggm.visualization.subsets_plot import draw_subsets, subsets_table
from tests.tiny import Accuracy, TinyData, evaluating_runner, tiny_guided

SUBSETS = [('left', 'right'), ('left',), ('right',)]


def test_what_is_missing_is_zero_where_it_enters_fusion(tmp_path):
    runner = evaluating_runner(tmp_path)
    results = evaluate_subsets(runner)
    assert list(results) == SUBSETS
    data, model = TinyData(37), runner.model.model
    for subset, found in results.items():
        with torch.no_grad():
            zero = torch.zeros(37, 8)
            left = model.left_encoder(data.left) if 'left' in subset else zero
            right = model.right_encoder(data.right) if 'right' in subset else zero
            hits = model.classifier(torch.tanh(left + right)).argmax(1) == data.label
        assert found == {'accuracy': pytest.approx(hits.float().mean().item())}
    assert len({found['accuracy'] for found in results.values()}) > 1
    assert runner.test()['accuracy'] == results[SUBSETS[0]]['accuracy']  # nothing of it stays


def test_the_loop_of_a_config_has_all_subsets_and_their_mean(tmp_path):
    results = evaluate_subsets(evaluating_runner(tmp_path))
    runner = evaluating_runner(tmp_path, test_cfg=dict(type='SubsetTestLoop'))
    complete, left, right = (found['accuracy'] for found in results.values())
    assert runner.test() == {
        'accuracy': complete,
        'accuracy/left': left,
        'accuracy/right': right,
        'accuracy/subsets': pytest.approx((complete + left + right) / 3),
    }


def test_what_an_evaluator_writes_in_each_test_is_of_all_modalities_in_the_end(tmp_path):
    class Writer(Accuracy):
        def compute_metrics(self, results):
            (tmp_path / 'written.txt').write_text(str(results))
            return super().compute_metrics(results)

    settings = dict(test_evaluator=[Writer()])
    evaluating_runner(tmp_path, **settings).test()
    expected = (tmp_path / 'written.txt').read_text()
    for test_cfg, run in (
        ({}, evaluate_subsets),
        (dict(type='SubsetTestLoop'), lambda runner: runner.test()),
    ):
        run(evaluating_runner(tmp_path, test_cfg=test_cfg, **settings))
        assert (tmp_path / 'written.txt').read_text() == expected


def test_a_model_of_one_modality_is_refused(tmp_path):
    runner = evaluating_runner(tmp_path, model=tiny_guided(only='left'))
    with pytest.raises(ValueError, match=r"`model\.only` is 'left'"):
        evaluate_subsets(runner)


def test_a_model_without_guides_is_refused(tmp_path):
    runner = evaluating_runner(tmp_path, model=tiny_guided().model, hooks=[])
    with pytest.raises(ValueError, match=r'`model\.type` is TinyClassifier.*GuidedModel'):
        evaluate_subsets(runner)


def test_a_metric_that_is_not_there_is_refused_after_the_first_subset(tmp_path, monkeypatch):
    runner, tests = evaluating_runner(tmp_path), []
    monkeypatch.setattr(runner, 'test', lambda: tests.append(1) or dict(accuracy=0.5))
    with pytest.raises(ValueError, match=r"gives no \['f1'\]; it gives \['accuracy'\]"):
        evaluate_subsets(runner, ['f1'])
    assert len(tests) == 1


def test_table_and_picture_have_a_line_a_subset():
    results = {
        subset: dict(accuracy=value, f1=1 - value)
        for subset, value in zip(SUBSETS, (0.75, 0.5, 0.25), strict=True)
    }
    assert subsets_table(results, ['accuracy']).splitlines() == [
        '| left | right | accuracy |',
        '| --- | --- | --- |',
        '| ● | ● | 0.7500 |',
        '| ● | ○ | 0.5000 |',
        '| ○ | ● | 0.2500 |',
        '| mean |  | 0.5000 |',
    ]
    dots, accuracy, f1 = draw_subsets(results, ['accuracy', 'f1']).axes
    assert [bar.get_width() for bar in accuracy.patches] == [0.75, 0.5, 0.25]
    assert [bar.get_width() for bar in f1.patches] == [0.25, 0.5, 0.75]
    assert [len(points.get_offsets()) for points in dots.collections] == [3, 3]
