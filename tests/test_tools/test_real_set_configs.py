"""The configs of the real sets train, validate and test on small files of the published formats."""

import copy
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmcggm.benchmark import KEYS, Benchmark
from mmcggm.datasets.meld.converter import convert_folder as convert_meld
from mmcggm.datasets.mosi_utterances.converter import convert_folder as convert_mosi
from mmcggm.datasets.watch.converter import convert_recordings
from mmcggm.engine.settings import read_config
from mmcggm.registry import DATASETS, MODELS
from tests.formats.real_sets import write_brca, write_leaves100, write_meld, write_mosi, write_watch

ROOT = Path(__file__).parents[2]
SETS = ('brca', 'leaves100', 'meld', 'mosi_utterances', 'watch')
CONFIGS = sorted(
    str(path.relative_to(ROOT / 'configs').with_suffix(''))
    for name in SETS
    for path in (ROOT / 'configs').glob(f'*/{name}*.py')
    if path.parent.name != 'benchmark'
)
TURNS = {'mla/brca': 2}  # omics that have had one in two updates


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Return a function from the name of a set to its folder, for which its converter has run."""

    @cache
    def folder(name: str) -> Path:
        source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp(name)
        if name == 'watch':
            convert_recordings(write_watch(source), out)
        elif name == 'meld':
            convert_meld(write_meld(source), out)
        elif name == 'mosi_utterances':
            convert_mosi(write_mosi(source), out)
        else:  # by config alone
            return dict(brca=write_brca, leaves100=write_leaves100)[name](source)
        return out

    return folder


@pytest.mark.parametrize('name', CONFIGS)
def test_trains_validates_and_tests(name, root, tmp_path):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py', format_python_code=False)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(root(set_of(name)))
    cfg.train_dataloader.dataset.indices = cfg.train_dataloader.batch_size = 20
    cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint = None
    cfg.merge_from_dict(dict(work_dir=str(tmp_path), log_level='ERROR', experiment_name=str(tmp_path)))
    for setting in {'pretrained', 'teachers'}.intersection(cfg.model):
        earlier, modalities = str(tmp_path / 'earlier.pth'), cfg.model.pop(setting)
        with DefaultScope.overwrite_default_scope('mmcggm'):
            torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), earlier)
        cfg.model[setting] = dict.fromkeys(modalities, earlier)
    runner = Runner.from_cfg(cfg)
    first = copy.deepcopy(runner.model.state_dict())
    runner.train()
    losses = runner.message_hub.log_scalars['train/loss'].data[0].tolist()
    assert len(losses) == 2 and all(map(math.isfinite, losses))
    modalities = list(cfg.train_dataloader.dataset.inputs)
    trained = runner.model.state_dict()
    learnt = {
        modality
        for modality in modalities
        if any(f'encoders.{modality}.' in key and not torch.equal(trained[key], first[key]) for key in first)
    }
    turns = modalities[: TURNS.get(name, len(modalities))]
    assert learnt == ({cfg.model.only} if name.startswith('single/') else set(turns))
    assert {'accuracy', *(f'guide/{modality}' for modality in modalities)} <= set(runner.test())


def set_of(name: str) -> str:
    """Return the set of a config."""
    return next(found for found in SETS if name.split('/')[1].startswith(found))


@pytest.mark.parametrize('name', SETS)
def test_a_control_has_the_same_methods_and_an_admitted_set_has_all(name):
    folders = {config.split('/')[0] for config in CONFIGS if set_of(config) == name}
    if name == 'brca':
        assert folders == {path.parent.name for path in (ROOT / 'configs').glob('*/mfeat.py')} - {'benchmark'}
    else:
        assert folders == {'baseline', 'cggm', 'mmpareto', 'multi_loss', 'ogm', 'pretrained', 'single'}


@pytest.mark.parametrize('name', SETS)
def test_a_saved_config_reads_the_rows_of_the_config(name, root, tmp_path):
    cfg = Config.fromfile(ROOT / f'configs/baseline/{name}.py')
    cfg.dump(tmp_path / 'saved.py')
    saved = Config.fromfile(tmp_path / 'saved.py')
    for split in ('train', 'val', 'test'):
        rows = []
        for config in (cfg, saved):
            config[f'{split}_dataloader'].dataset.data_root = str(root(name))
            rows.append(DATASETS.build(config[f'{split}_dataloader'].dataset).data_list)
        assert np.array_equal(*rows)


@pytest.mark.parametrize('name', [*SETS, 'mfeat', 'av_digits'])
def test_admission_trains_three_times_as_long_beside_each_modality_alone(name):
    cfg = read_config(ROOT / f'configs/benchmark/{name}_admission.py', known=KEYS)
    benchmark = Benchmark(cfg, root=ROOT)
    usual = Config.fromfile(ROOT / f'configs/baseline/{name}.py')
    modalities = usual.train_dataloader.dataset.get('inputs') or usual.modalities
    assert set(benchmark.methods) == {'joint', *(f'{modality} alone' for modality in modalities)}
    for run in benchmark.finals():
        assert run.cfg.train_cfg.max_epochs == 3 * usual.train_cfg.max_epochs
        assert run.cfg.model.get('only') == (None if run.method == 'joint' else run.method.split()[0])
        assert [hook.type for hook in run.cfg.custom_hooks] == [hook.type for hook in usual.custom_hooks]
        assert run.cfg.custom_hooks[-1].control


@pytest.mark.parametrize('name', ['watch', 'leaves100'])
def test_a_control_is_measured_as_long_as_it_was_judged_on_splits_of_its_own(name):
    benchmark = Benchmark(read_config(ROOT / f'configs/benchmark/{name}_control.py', known=KEYS), root=ROOT)
    admission = Benchmark(read_config(ROOT / f'configs/benchmark/{name}_admission.py', known=KEYS), root=ROOT)
    epochs = {run.cfg.train_cfg.max_epochs for run in admission.finals()}
    assert {run.cfg.train_cfg.max_epochs for run in benchmark.finals()} == epochs
    assert {*admission.methods, 'multi-loss', 'CGGM', 'pretrained finetuned'} < set(benchmark.methods)
    for run in benchmark.finals():
        assert {run.cfg[f'{split}_dataloader'].dataset.seed for split in ('train', 'val', 'test')} == {
            run.seed
        }
