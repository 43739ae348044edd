"""Which runs a benchmark's config asks for."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmcggm.benchmark import Benchmark

METHOD = """
optim_wrapper = dict(lr=0.1)
randomness = dict(seed=0)
train_dataloader = dict(dataset=dict(noise=0.0))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', save_best='accuracy'))
"""


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / 'method.py').write_text(METHOD)
    return tmp_path


def config(**changes) -> dict:
    return {
        **dict(
            methods={
                'plain': dict(config='method.py'),
                'fast': dict(config='method.py', overrides={'optim_wrapper.lr': 0.2}),
            },
            settings={'clean': {}, 'noise 0.5': {'train_dataloader.dataset.noise': 0.5}},
            seeds=[3, 4],
            baseline='plain',
            metrics=['accuracy'],
            checkpoint='best',
        ),
        **changes,
    }


def test_every_method_runs_in_every_setting_with_every_seed(root):
    runs = Benchmark(config(), root=root).finals()
    found = {
        (r.setting, r.method, r.seed): (
            r.cfg.train_dataloader.dataset.noise,
            r.cfg.optim_wrapper.lr,
            r.cfg.randomness.seed,
        )
        for r in runs
    }
    assert len(runs) == 8 and found == {
        (setting, method, seed): (noise, lr, seed)
        for setting, noise in (('clean', 0.0), ('noise 0.5', 0.5))
        for method, lr in (('plain', 0.1), ('fast', 0.2))
        for seed in (3, 4)
    }
    assert len({run.folder for run in runs}) == len({run.fingerprint for run in runs}) == 8
    assert [run.seed for run in runs] == [3] * 4 + [4] * 4


def test_a_method_may_take_some_of_the_seeds(root):
    methods = config()['methods']
    methods['fast']['seeds'] = [4, 5]
    found = [(run.method, run.seed) for run in Benchmark(config(methods=methods), root=root).finals()]
    assert found == [('plain', 3)] * 2 + [('plain', 4), ('fast', 4)] * 2


def test_what_is_inherited_of_absent_methods_is_left_out_and_named(root, capsys):
    ensembles = {'both': dict(methods=['plain', 'other'])}
    benchmark = Benchmark(config(references=['other'], ensembles=ensembles), root=root)
    assert not benchmark.references and not benchmark.ensembles
    assert 'both, other' in capsys.readouterr().out


def test_a_seed_may_split_the_data_too(root):
    key = 'train_dataloader.dataset.seed'
    for run in Benchmark(config(seeded=[key]), root=root).finals():
        assert run.cfg.train_dataloader.dataset.seed == run.cfg.randomness.seed == run.seed


def test_overrides_of_the_call_come_last(root):
    assert {
        run.cfg.optim_wrapper.lr for run in Benchmark(config(), {'optim_wrapper.lr': 0.7}, root).finals()
    } == {0.7}


def test_fingerprints_tell_configs_apart(root):
    def fingerprints(**changes):
        return [run.fingerprint for run in Benchmark(config(**changes), root=root).finals()]

    assert fingerprints() == fingerprints()
    assert not set(fingerprints()) & set(fingerprints(checkpoint='last'))
    # Only the runs with a changed config are others; a name says nothing about a training.
    changed = config()['methods'] | {'fast': dict(config='method.py', overrides={'optim_wrapper.lr': 0.3})}
    pairs = zip(fingerprints(), fingerprints(methods=changed), strict=True)
    assert [a == b for a, b in pairs] == [True, False] * 4
    (root / 'method.py').write_text(METHOD.replace('0.1', '0.9'))
    assert not set(fingerprints()[::2]) & {
        run.fingerprint for run in Benchmark(config(), {'optim_wrapper.lr': 0.1}, root).finals()
    }


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(seeds=[]), '`seeds`.*empty'),
        (dict(seeds=[1, 1]), '`seeds` must be different'),
        (dict(seeds=['a']), '`seeds` must be different integers'),
        (dict(baseline='other'), r"`baseline` is 'other'.*'fast', 'plain'"),
        (dict(checkpoint='first'), "`checkpoint` is 'first'"),
        (dict(methods={'plain': dict(path='method.py')}), r"`methods\['plain'\]` must be dict\(config=PATH"),
        (
            dict(methods={'plain': dict(config='method.py', after={'x': 'other'})}),
            "`methods\['plain'\].after` names 'other'",
        ),
        (dict(references=['plain']), "`references` names 'plain'"),
        (dict(ensembles={'both': ['plain', 'fast']}), r"`ensembles\['both'\]` must be dict\(methods"),
        (dict(ensembles={'both': dict(methods=['plain'], of='votes')}), "one of .*'probabilities', 'logits'"),
        (dict(ensembles={'fast': dict(methods=['plain'])}), 'has the name of a method'),
        (
            dict(ensembles={'a': dict(methods=['plain'])}, metrics=['loss']),
            "the first of `metrics` is 'loss'",
        ),
        (
            dict(methods={'plain': dict(config='method.py', seeds=[1, 1])}),
            '`methods.*seeds` must be different',
        ),
        (
            dict(
                methods={
                    'plain': dict(config='method.py', seeds=[3]),
                    'late': dict(config='method.py', after={'x': 'plain'}),
                }
            ),
            r"`methods\['late'\]` has the seeds \[4\], which 'plain' lacks",
        ),
        (
            dict(methods={'plain': dict(config='method.py', seeds=[8])}),
            r'seeds` are \[8\], but none is among',
        ),
        (dict(search=dict(budget=0, seeds=[1], space={})), '`search` must be dict'),
        (dict(search=dict(budget=2, seeds=[1, 1], space={})), '`search.seeds` must be different'),
        (
            dict(methods={'plain': dict(config='method.py', space={'optim_wrapper.lr': [1]})}),
            'has a `space`, but the benchmark config has no `search`',
        ),
        (dict(settings={'../up': {}}), r"'\.\./up', which can not name a folder"),
        (dict(settings={'a b': {}, 'a_b': {}}), 'share a folder'),
    ],
)
def test_bad_configs_are_refused(root, changes, message):
    with pytest.raises(ValueError, match=message):
        Benchmark(config(**changes), root=root)


def test_a_search_is_switched_off_by_none(root):
    methods = {'plain': dict(config='method.py', space={'optim_wrapper.lr': [0.3, 0.4]})}
    benchmark = Benchmark(config(methods=methods, search=None), root=root)
    assert not benchmark.trials
    assert {run.cfg.optim_wrapper.lr for run in benchmark.finals()} == {0.1}


def test_missing_keys_and_files_are_named(root):
    with pytest.raises(ValueError, match=r"lacks \['metrics', 'seeds'\]"):
        Benchmark({k: v for k, v in config().items() if k not in ('seeds', 'metrics')}, root=root)
    absent = {'plain': dict(config='nowhere.py')}
    with pytest.raises(
        FileNotFoundError, match=rf"`methods\['plain'\].config`.*nowhere.py' in this folder or in '{root}'"
    ):
        Benchmark(config(methods=absent), root=root)


def test_the_forms_of_missing_keys_are_a_benchmark():
    with pytest.raises(ValueError, match='Their form is') as refused:
        Benchmark({})
    forms = re.findall('`(.+?)`', str(refused.value))
    given: dict = {}
    exec('\n'.join(forms), given)
    benchmark = Benchmark(given)
    assert len(forms) == 6 and len(benchmark.finals()) == len(given['seeds'])


def test_configs_of_ones_own_are_found_in_the_current_folder(root, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    monkeypatch.chdir(root)
    here = [run.fingerprint for run in Benchmark(config(), root=elsewhere).finals()]
    monkeypatch.chdir(elsewhere)
    assert here == [run.fingerprint for run in Benchmark(config(), root=root).finals()]


def test_best_needs_a_metric_that_is_watched(root):
    (root / 'method.py').write_text(METHOD.replace("save_best='accuracy'", ''))
    with pytest.raises(ValueError, match='save_best'):
        Benchmark(config(), root=root)
    assert Benchmark(config(checkpoint='last'), root=root).finals()


def test_shipped_configs_are_valid():
    repository = Path(__file__).parents[2]
    for path in (repository / 'configs' / 'benchmark').glob('*.py'):
        cfg = Config.fromfile(path)
        cfg.seeds = cfg.seeds[:2]
        benchmark = Benchmark(cfg, root=path.parent)
        size = len(benchmark.settings) * len(benchmark.methods) * len(benchmark.seeds)
        assert len({run.fingerprint for run in benchmark.finals()}) == size
