"""IEMOCAP's configs train, validate, test and resume on synthetic files of the published format."""

import copy
import math
from pathlib import Path

import pytest

pytest.importorskip('h5py')
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmcggm.registry import MODELS
from tests.formats.iemocap import CHANNELS, write_synthetic_iemocap

ROOT = Path(__file__).parents[2]
METHODS = ('baseline', 'cggm')
MAX_LENGTHS = dict(text=22, audio=20, vision=50)


def load(method, root, work_dir):
    """Return the config, made small: narrow transformers, short audio, two epochs of three batches."""
    cfg = Config.fromfile(ROOT / f'configs/{method}/iemocap.py')
    inner = cfg.model.model if method == 'cggm' else cfg.model
    parts = [*inner.backbone.encoders.values(), inner.backbone.fusion, cfg.model.get('guide', {}), inner]
    for part in parts:
        part.update(dim=10)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        loader.dataset.update(data_root=str(root), max_lengths=MAX_LENGTHS)
    cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.logger.interval = 1
    cfg.merge_from_dict(dict(work_dir=str(work_dir), log_level='ERROR', experiment_name=str(work_dir)))
    return cfg


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_synthetic_iemocap(tmp_path_factory.mktemp('iemocap'))


@pytest.fixture(params=METHODS, scope='module')
def cfg(request, root, tmp_path_factory):
    return load(request.param, root, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope='module')
def trained(cfg):
    """The runner after two epochs."""
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.train()
    return runner


def scalars(runner):
    history = runner.message_hub.log_scalars
    return {name: history[name].data[0] for name in history}


def test_trains_and_validates(trained, cfg):
    history = scalars(trained)
    assert trained.epoch == 2 and len(history['train/loss']) == 6
    assert {'val/accuracy', 'val/unweighted_accuracy', 'val/weighted_F1', 'val/macro_F1'} <= set(history)
    assert all(map(math.isfinite, history['train/loss'])) and math.isfinite(history['val/cross_entropy'][-1])
    balanced = {f'train/balance/B/{modality}' for modality in CHANNELS}
    assert balanced <= set(history) if cfg.model.type == 'GuidedModel' else balanced.isdisjoint(history)


def test_every_parameter_learns(trained, cfg):
    first, second = (
        torch.load(Path(cfg.work_dir) / f'epoch_{epoch}.pth', weights_only=False)['state_dict']
        for epoch in (1, 2)
    )
    assert set(first) == set(trained.model.state_dict())
    assert [name for name in first if torch.equal(first[name], second[name])] == []


def test_schedule_watches_validation(trained):
    (scheduler,) = trained.param_schedulers
    assert (scheduler.monitor, scheduler.rule, scheduler.patience) == ('cross_entropy', 'less', 10)
    assert scheduler.best == min(scalars(trained)['val/cross_entropy'])


def test_tests_from_a_checkpoint(trained, cfg):
    expected = trained.test()
    tester = Runner.from_cfg(
        Config({**cfg, 'load_from': str(Path(cfg.work_dir) / 'epoch_2.pth'), 'experiment_name': 'tester'})
    )
    assert tester.test() == pytest.approx(expected)


def test_resumes(trained, cfg):
    settings = copy.deepcopy(cfg)
    settings.resume = True
    settings.train_cfg.max_epochs = 3
    settings.experiment_name = f'{cfg.experiment_name}_resumed'
    second = Path(cfg.work_dir) / 'epoch_2.pth'
    written = second.stat().st_mtime_ns
    runner = Runner.from_cfg(settings)
    runner.train()
    assert (runner.epoch, runner.iter) == (3, 9) and second.stat().st_mtime_ns == written
    # A checkpoint is written before its epoch is validated: it knows of the first one's, the third's is new.
    assert len(scalars(runner)['val/accuracy']) == 2


@pytest.mark.parametrize('method', METHODS)
def test_published_settings(method):
    cfg = Config.fromfile(ROOT / f'configs/{method}/iemocap.py')
    inner = cfg.model.model if method == 'cggm' else cfg.model
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs) == (64, 30)
    assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=1e-3)
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=0.8)
    assert inner.mask_padding is False and inner.backbone.fusion.out_dropout == 0.2
    if method == 'cggm':
        assert cfg.optim_wrapper.guide_optimizer == dict(type='Adam', lr=5e-4)


@pytest.mark.parametrize('mask_padding', [False, True])
def test_masks_reach_the_model(root, mask_padding):
    """What padding holds matters unless it is masked."""
    cfg = Config.fromfile(ROOT / 'configs/baseline/iemocap.py')
    cfg.model.mask_padding = mask_padding
    with DefaultScope.overwrite_default_scope('mmcggm'):
        model = MODELS.build(cfg.model).eval()
        loader = Runner.build_dataloader(
            {
                **cfg.val_dataloader,
                'num_workers': 0,
                'persistent_workers': False,
                'dataset': {**cfg.val_dataloader.dataset, 'data_root': str(root)},
            }
        )
    batch = next(iter(loader))
    with torch.no_grad():
        before = model(**batch)
        for modality, length in batch['lengths'].items():
            for sample, end in zip(batch['inputs'][modality], length, strict=True):
                sample[end:] = 9
        assert torch.allclose(model(**batch), before, atol=1e-5) == mask_padding
