"""Means, deviations and significance."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from mmcggm.benchmark import Benchmark, read_result, summarise, write_result
from mmcggm.benchmark.summary import holm, paired_p_value
from tests.test_benchmark.finished import SCORES, finish


def test_rows_hold_mean_deviation_and_paired_significance(benchmark_of_two, tmp_path):
    finish(benchmark_of_two, tmp_path)
    rows = summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path)
    assert [(row.method, row.metric) for row in rows] == [
        (method, metric) for method in SCORES for metric in ('accuracy', 'guide/audio')
    ]
    plain, _, fast, guide = rows
    assert plain.mean == pytest.approx(np.mean(SCORES['plain'])) and math.isnan(
        plain.against['plain'].p_value
    )
    assert fast.std == pytest.approx(np.std(SCORES['fast'], ddof=1))
    assert fast.against['plain'].difference == pytest.approx(0.16 / 3)
    expected = stats.ttest_rel(SCORES['fast'], SCORES['plain']).pvalue
    assert fast.against['plain'].p_value == pytest.approx(expected) == guide.against['plain'].p_value


def test_only_seeds_that_both_have_are_compared(benchmark_of_two, tmp_path):
    finish(benchmark_of_two, tmp_path, leave_out=[('plain', 0), ('fast', 2)])
    fast = next(
        row
        for row in summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path)
        if row.method == 'fast'
    )
    assert fast.seeds == (0, 1) and fast.values == (0.75, 0.74)
    assert fast.against['plain'].difference == pytest.approx(0.74 - 0.72) and math.isnan(
        fast.against['plain'].p_value
    )


def test_results_of_another_config_do_not_count(benchmark_of_two, tmp_path):
    finish(benchmark_of_two, tmp_path)
    first = benchmark_of_two.finals()[0]
    write_result(tmp_path / first.folder, 'another', metrics={'accuracy': 0.1, 'guide/audio': 0.1})
    assert summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path)[0].seeds == (1, 2)


def test_absent_metric_is_named(benchmark_of_two, tmp_path):
    run = benchmark_of_two.finals()[0]
    (tmp_path / run.folder).mkdir(parents=True)
    write_result(tmp_path / run.folder, run.fingerprint, metrics={'accuracy': 0.1})
    with pytest.raises(ValueError, match=r"'guide/audio'.*plain, seed 0 has \['accuracy'\]"):
        summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path)


def test_the_best_value_on_the_validation_split_is_a_metric_too(benchmark_of_two, tmp_path):
    benchmark_of_two.metrics = ('validation', 'accuracy')
    run = benchmark_of_two.finals()[0]
    (tmp_path / run.folder).mkdir(parents=True)
    validation = dict(metric='accuracy', value=0.8, rule='greater')
    write_result(tmp_path / run.folder, run.fingerprint, metrics={'accuracy': 0.7}, validation=validation)
    rows = summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path)
    assert [(row.metric, row.mean) for row in rows] == [('validation', 0.8), ('accuracy', 0.7)]


def test_broken_result_is_named(tmp_path):
    (tmp_path / 'result.json').write_text('{"metrics": ')
    with pytest.raises(ValueError, match=r'result.json is not a result .*delete it'):
        read_result(tmp_path, 'any')


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8, unique=True), st.data())
def test_p_value_is_scipys(values, data):
    baseline = data.draw(st.lists(st.floats(-1, 1), min_size=len(values), max_size=len(values)))
    differences = np.array(values) - np.array(baseline)
    p = paired_p_value(differences)
    assert 0 <= p <= 1
    if np.ptp(differences) > 1e-6:
        assert p == pytest.approx(stats.ttest_rel(values, baseline).pvalue, rel=1e-6)


@given(
    st.lists(st.integers(-8, 8), min_size=2, max_size=8).filter(lambda steps: len(set(steps)) > 1),
    st.integers(-1074, 1020),
)
@example([0, 1], -1074)  # whose squares vanish
@example([1, 2, 3], 1020)  # whose squares overflow
def test_p_value_does_not_depend_on_the_unit(steps, exponent):
    p = paired_p_value(np.array([math.ldexp(step, exponent) for step in steps]))
    assert p == paired_p_value(np.array(steps, dtype=float)) and 0 <= p <= 1


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_what_is_not_finite_has_no_p_value(value):
    assert math.isnan(paired_p_value(np.array([0.1, value, 0.2])))


def test_equal_differences_have_a_p_value():
    assert paired_p_value(np.zeros(3)) == 1.0 and paired_p_value(np.full(3, 0.25)) == 0.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_as_its_steps_do(p_values):
    """Holm rejects the smallest p values as long as each is within α over the number that is left."""
    corrected = holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected, left = set(), len(p_values)
        for index in sorted(range(len(p_values)), key=p_values.__getitem__):
            if p_values[index] * left > level:
                break
            rejected.add(p_values[index])
            left -= 1
        assert {p for p, c in zip(p_values, corrected, strict=True) if c <= level} == rejected


def test_methods_of_a_setting_are_corrected_together(tmp_path):
    (tmp_path / 'method.py').write_text('work_dir = None\n')
    values = {'plain': [0.5, 0.6, 0.7], 'near': [0.51, 0.62, 0.7], 'far': [0.6, 0.71, 0.8]}
    methods = {name: dict(config='method.py', overrides={'experiment_name': name}) for name in values}
    cfg = dict(settings={'clean': {}}, seeds=[0, 1, 2], baseline='plain', checkpoint='last', metrics=['a'])
    benchmark = Benchmark(dict(cfg, methods=methods), root=tmp_path)
    for run in benchmark.finals():
        (tmp_path / run.folder).mkdir(parents=True)
        write_result(tmp_path / run.folder, run.fingerprint, metrics={'a': values[run.method][run.seed]})
    plain, near, far = (row.against['plain'] for row in summarise(benchmark, benchmark.finals(), tmp_path))
    assert math.isnan(plain.p_holm)
    assert near.p_holm == pytest.approx(near.p_value) and far.p_holm == pytest.approx(2 * far.p_value)


def test_further_references_are_compared_with_as_the_baseline_is(benchmark_of_two, tmp_path):
    finish(benchmark_of_two, tmp_path)
    benchmark_of_two.references = ('fast',)
    plain, *_ = summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path)
    there = plain.against['fast']
    benchmark_of_two.references, benchmark_of_two.baseline = (), 'fast'
    plain, *_ = summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path)
    assert there == plain.against['fast'] and there.difference == pytest.approx(-0.16 / 3)


def test_an_ensemble_is_compared_on_the_seeds_that_it_has(benchmark_of_two, tmp_path):
    finish(benchmark_of_two, tmp_path)
    benchmark_of_two.ensembles = {'both': dict(methods=['plain', 'fast'])}
    reached = {('clean', 'both'): {1: 0.8, 2: 0.9}}
    *_, both = summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path, reached)
    expected = np.mean([0.8 - SCORES['plain'][1], 0.9 - SCORES['plain'][2]])
    assert both.seeds == (1, 2) and both.against['plain'].difference == pytest.approx(expected)
