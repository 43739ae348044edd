"""The AV digits' configs train, validate, test and resume on synthetic recordings."""

import copy
import math
from pathlib import Path

import pytest

pytest.importorskip('sklearn')
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmcggm.datasets.av_digits.converter import convert_folder
from tests.formats.av_digits import write_synthetic_recordings

ROOT = Path(__file__).parents[2]
CONFIGS = ('baseline/av_digits', 'cggm/av_digits_paper', 'cggm/av_digits')


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('av_digits')
    convert_folder(write_synthetic_recordings(folder / 'recordings', speakers=['theo']), folder)
    return folder


@pytest.fixture(params=CONFIGS, scope='module')
def cfg(request, root, tmp_path_factory) -> Config:
    """The config, made small: narrow encoders, two epochs of two batches."""
    work_dir = tmp_path_factory.mktemp('work')
    cfg = Config.fromfile(ROOT / f'configs/{request.param}.py')
    inner = cfg.model.model
    for encoder in inner.backbone.encoders.values():
        encoder.channels = (4, 8)
    inner.backbone.fusion.update(in_channels=[8, 8], dim=8)
    inner.dim = 8
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = 10
        loader.dataset.data_root = str(root)
    cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.logger.interval = 1
    cfg.merge_from_dict(dict(work_dir=str(work_dir), log_level='ERROR', experiment_name=str(work_dir)))
    return cfg


@pytest.fixture(scope='module')
def trained(cfg) -> Runner:
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.train()
    return runner


def scalars(runner: Runner) -> dict[str, list[float]]:
    return {name: buffer.data[0].tolist() for name, buffer in runner.message_hub.log_scalars.items()}


def test_trains_and_validates(trained, cfg):
    history = scalars(trained)
    assert len(history['train/loss']) == 4 and all(map(math.isfinite, history['train/loss']))
    for name in ('accuracy', 'guide/audio', 'guide/image'):
        assert len(history[f'val/{name}']) == 2 and 0 <= min(history[f'val/{name}']) <= 1
    balanced = 'balancer' in cfg.optim_wrapper
    assert ('train/balance/B/audio' in history) == balanced
    assert ('train/balance/L_gm' in history) == (balanced and cfg.optim_wrapper.balancer.lam > 0)


def test_tests_the_best_checkpoint(trained, cfg):
    (best,) = Path(cfg.work_dir).glob('best_accuracy_epoch_*.pth')
    epoch = int(best.stem.rpartition('_')[2])
    validated = scalars(trained)['val/accuracy']
    assert validated[epoch - 1] == max(validated)
    tester = Runner.from_cfg(Config({**cfg, 'load_from': str(best), 'experiment_name': f'{best}_test'}))
    assert {'accuracy', 'guide/audio', 'guide/image'} <= set(tester.test())


def test_resumes(trained, cfg):
    settings = copy.deepcopy(cfg)
    settings.update(resume=True, experiment_name=f'{cfg.experiment_name}_resumed')
    settings.train_cfg.max_epochs = 3
    runner = Runner.from_cfg(settings)
    runner.train()
    assert (runner.epoch, runner.iter) == (3, 6) and len(scalars(runner)['train/loss']) == 6
    if 'balancer' in cfg.optim_wrapper:
        assert runner.optim_wrapper.balancer.state_dict()['updates'] == 6


def test_every_parameter_learns(trained, cfg):
    torch.manual_seed(0)
    first = Runner.from_cfg(Config({**cfg, 'experiment_name': f'{cfg.experiment_name}_first'})).model
    learnt = trained.model.state_dict()
    assert [n for n, value in first.state_dict().items() if torch.equal(value, learnt[n])] == []


def test_methods_differ_in_the_balancer_alone():
    baseline, step, smoothed = (Config.fromfile(ROOT / f'configs/{name}.py').to_dict() for name in CONFIGS)
    balancers = [cfg['optim_wrapper'].pop('balancer', None) for cfg in (baseline, step, smoothed)]
    hooks = [[hook['type'] for hook in cfg.pop('custom_hooks')] for cfg in (baseline, step, smoothed)]
    assert baseline == step == smoothed
    assert hooks == [['GuideScoreHook'], *[['BalancingHook', 'GuideScoreHook']] * 2]
    assert balancers == [
        None,
        dict(type='CGGM', rho=2.0, lam=0.2),
        dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress')),
    ]
