"""A search on the validation split: its runs, its choice, and what is tested then."""

import json

import pytest

from mmcggm.benchmark import Benchmark, choose, write_result

METHOD = """
optim_wrapper = dict(lr=0.1)
model = dict(teacher='')
randomness = dict(seed=0)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', save_best='accuracy'))
"""


@pytest.fixture
def benchmark(tmp_path) -> Benchmark:
    (tmp_path / 'method.py').write_text(METHOD)
    cfg = dict(
        methods={
            'plain': dict(config='method.py'),
            'taught': dict(
                config='method.py', space={'model.depth': [1, 2]}, after={'model.teacher': 'plain'}
            ),
        },
        settings={'clean': {}},
        seeds=[0, 1],
        baseline='plain',
        metrics=['accuracy'],
        checkpoint='best',
        search=dict(budget=3, seeds=[7, 8], space={'optim_wrapper.lr': [0.1, 0.2]}),
    )
    return Benchmark(cfg, root=tmp_path)


def finish(benchmark, folder, values):
    """Write results of trials, ``values`` by method and number."""
    for run in benchmark.trials:
        if run.trial in values[run.method]:
            value = values[run.method][run.trial] + 0.01 * run.seed
            (folder / run.folder).mkdir(parents=True, exist_ok=True)
            validation = dict(metric='accuracy', value=value, rule='greater')
            write_result(folder / run.folder, run.fingerprint, validation=validation)


def test_every_method_has_the_same_budget(benchmark):
    tried = {
        (run.method, run.trial, run.seed): (run.cfg.optim_wrapper.lr, run.cfg.model.get('depth'))
        for run in benchmark.trials
    }
    assert {key[0]: 0 for key in tried} == {'plain': 0, 'taught': 0} and len(tried) == (2 + 3) * 2
    assert tried['plain', 0, 7] == (0.1, None) and tried['plain', 1, 8] == (0.2, None)
    assert len({run.folder for run in [*benchmark.trials, *benchmark.finals()]}) == len(tried) + 4


def test_what_is_best_on_validation_is_tested(benchmark, tmp_path):
    finish(benchmark, tmp_path, {'plain': {0: 0.5, 1: 0.6}, 'taught': {0: 0.7, 1: 0.6, 2: 0.5}})
    choice = choose(benchmark, tmp_path)
    assert choice == {('clean', 'plain'): 1, ('clean', 'taught'): 0}
    finals = benchmark.finals(choice)
    assert {(run.method, run.seed): run.cfg.optim_wrapper.lr for run in finals} == {
        ('plain', 0): 0.2,
        ('plain', 1): 0.2,
        ('taught', 0): 0.1,
        ('taught', 1): 0.1,
    }
    report = json.loads((tmp_path / 'search.json').read_text())
    assert [entry['chosen'] for entry in report] == [{'optim_wrapper.lr': 0.2}, {}]
    assert report[0]['tried'][0] == dict(overrides={}, values=[pytest.approx(0.57), pytest.approx(0.58)])


def test_a_run_comes_after_that_of_its_teacher_with_the_same_seed(benchmark):
    finals = {(run.method, run.seed): run for run in benchmark.finals(dict.fromkeys(benchmark.candidates, 1))}
    taught = finals['taught', 1]
    assert taught.after['model.teacher'].fingerprint == finals['plain', 1].fingerprint
    assert taught.after['model.teacher'].folder == finals['plain', 1].folder
    # Another teacher is another run, though its own config is the same.
    other = benchmark.finals({('clean', 'plain'): 0, ('clean', 'taught'): 1})
    assert taught.fingerprint not in {run.fingerprint for run in other}
    trial = next(run for run in benchmark.trials if (run.method, run.trial, run.seed) == ('taught', 2, 8))
    assert (trial.after['model.teacher'].trial, trial.after['model.teacher'].seed) == (0, 8)


def test_a_method_whose_trials_all_failed_is_named(benchmark, tmp_path):
    finish(benchmark, tmp_path, {'plain': {0: 0.5, 1: 0.6}, 'taught': {}})
    with pytest.raises(ValueError, match=r'All trials of taught \(clean\) failed'):
        choose(benchmark, tmp_path)


def test_some_methods_bring_the_baseline_and_what_they_come_after(tmp_path):
    (tmp_path / 'method.py').write_text(METHOD)
    methods = {name: dict(config='method.py') for name in ('base', 'model.teacher', 'other')}
    methods['taught'] = dict(config='method.py', after={'model.teacher': 'model.teacher'})
    cfg = dict(
        methods=methods,
        settings={'clean': {}},
        seeds=[0],
        baseline='base',
        metrics=['accuracy'],
        checkpoint='best',
    )
    assert Benchmark(cfg, root=tmp_path, only=['taught']).methods == ('base', 'model.teacher', 'taught')
    assert Benchmark(cfg, root=tmp_path, only=['base']).methods == ('base',)
    with pytest.raises(ValueError, match=r"no methods \['tought'\]; it has \['base'"):
        Benchmark(cfg, root=tmp_path, only=['tought'])
