"""Food-101's configs train, validate, test and resume on synthetic files of the published format."""

import math
import runpy
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from tests.formats.food101 import HIDDEN, write_bert, write_food101, write_vit

ROOT = Path(__file__).parents[2]
CONFIGS = ('baseline/food101', 'cggm/food101', 'cggm/food101_paper', 'cggm/food101_cached')
CACHE_TOOL = ROOT / 'tools' / 'dataset_converters' / 'cache_features.py'


def load(name, files, work_dir):
    """Return the config, made small: tiny encoders, narrow transformers, two epochs of three batches."""
    cfg = Config.fromfile(ROOT / f'configs/{name}.py')
    inner = cfg.model.get('model', cfg.model)
    for part in (*inner.backbone.encoders.values(), inner.backbone.fusion, cfg.model.get('guide', {}), inner):
        part.update(dim=10)
    for encoder in inner.backbone.encoders.values():
        if 'in_channels' in encoder:
            encoder.in_channels = HIDDEN
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        source = loader.dataset
        if name.endswith('cached'):
            source.update(data_root=str(files / 'features'))
            point_to(source.backbones, files)
            source = source.source
        source.update(data_root=str(files / 'data'), tokenizer=str(files / 'bert'))
        source.serialize_data = False  # it would collect garbage for half a second each time
        source.pipeline[0].scale = (32, 32)
    point_to({m: e.backbone for m, e in inner.backbone.encoders.items() if 'backbone' in e}, files)
    cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.logger.interval = 1
    cfg.merge_from_dict(dict(work_dir=str(work_dir), log_level='ERROR', experiment_name=str(work_dir)))
    return cfg


def point_to(backbones, files):
    for modality, backbone in backbones.items():
        backbone.path = str(files / dict(image='vit', text='bert')[modality])


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Data, tiny models and, made by the tool, their features."""
    folder = tmp_path_factory.mktemp('files')
    write_food101(folder / 'data', train=12, test=6)
    write_bert(folder / 'bert')
    write_vit(folder / 'vit')
    config = folder / 'cached.py'
    load('cggm/food101_cached', folder, folder).dump(config)
    assert cache(config, '--views', '2', '--shard-size', '5') == 0
    return folder


def cache(config, *options):
    """Run ``cache_features.py`` and return its exit status."""
    arguments, sys.argv = sys.argv, [str(CACHE_TOOL), str(config), '--workers', '0', *options]
    try:
        runpy.run_path(str(CACHE_TOOL), run_name='__main__')
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = arguments


@pytest.fixture(params=CONFIGS, scope='module')
def cfg(request, files, tmp_path_factory):
    return load(request.param, files, tmp_path_factory.mktemp('work'))


@pytest.fixture(scope='module')
def trained(cfg):
    """The runner after two epochs."""
    runner = Runner.from_cfg(deepcopy(cfg))
    runner.train()
    return runner


def scalars(runner):
    history = runner.message_hub.log_scalars
    return {name: history[name].data[0] for name in history}


def test_trains_and_validates(trained, cfg):
    history = scalars(trained)
    assert trained.epoch == 2 and len(history['train/loss']) == 6
    assert {'val/accuracy', 'val/cross_entropy'} < set(history)
    assert all(map(math.isfinite, history['train/loss']))
    balanced = {'train/balance/B/image', 'train/balance/B/text'}
    assert balanced <= set(history) if cfg.model.type == 'GuidedModel' else balanced.isdisjoint(history)


def test_every_weight_but_the_frozen_is_trained(trained, cfg):
    first, second = (
        torch.load(Path(cfg.work_dir) / f'epoch_{n}.pth', weights_only=False)['state_dict'] for n in (1, 2)
    )
    idle = [name for name, t in second.items() if torch.equal(t, first[name])]
    assert len(idle) < len(second) and all('.backbone.model.' in name for name in idle)


def test_schedule_watches_validation(trained):
    (scheduler,) = trained.param_schedulers
    assert (scheduler.monitor, scheduler.rule, scheduler.patience) == ('cross_entropy', 'less', 10)
    assert scheduler.best < math.inf


def test_tests_from_a_checkpoint(trained, cfg):
    tester = deepcopy(cfg)
    tester.load_from = str(Path(cfg.work_dir) / 'epoch_2.pth')
    tester.experiment_name += '_test'
    found = Runner.from_cfg(tester).test()
    assert found == pytest.approx(trained.test()) and 0 <= found['accuracy'] <= 1


def test_resumes(trained, cfg):
    resumed = deepcopy(cfg)
    resumed.resume = True
    resumed.train_cfg.max_epochs = 3
    resumed.experiment_name += '_resumed'
    runner = Runner.from_cfg(resumed)
    runner.train()
    assert runner.epoch == 3 and runner.iter == 9


def test_cached_features_give_the_same_prediction(files, tmp_path):
    """The model on features and the model on images and text, with the same weights."""
    plain, cached = (
        Runner.from_cfg(load(name, files, tmp_path / name))
        for name in ('cggm/food101', 'cggm/food101_cached')
    )
    state = {n: t for n, t in plain.model.state_dict().items() if n in cached.model.state_dict()}
    cached.model.load_state_dict(state)
    predictions = []
    for runner in (plain, cached):
        runner.model.eval()
        (batch, *_) = runner.test_dataloader
        predictions.append([s.prediction for s in runner.model.test_step(batch)])
    assert torch.allclose(*map(torch.stack, predictions), atol=2e-3)


def test_unfreezing_is_one_line(files, tmp_path):
    cfg = load('cggm/food101', files, tmp_path)
    cfg.merge_from_dict({'model.model.backbone.encoders.text.backbone.frozen': False})
    runner = Runner.from_cfg(cfg)
    encoders = runner.model.model.backbone.encoders
    before = deepcopy(encoders.state_dict())
    runner.train()
    changed = {name.split('.')[0] for name, t in encoders.state_dict().items()
               if '.backbone.' in name and not torch.equal(t, before[name])}  # fmt: skip
    assert changed == {'text'}


def test_missing_pretrained_model_stops_before_training(files, tmp_path):
    cfg = load('baseline/food101', files, tmp_path)
    cfg.model.backbone.encoders.image.backbone.path = str(tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match=r'download .*google/vit-base-patch16-224'):
        Runner.from_cfg(cfg)


def test_tool_goes_on_and_refuses(files, tmp_path, capsys):
    config = files / 'cached.py'
    assert cache(config, '--views', '2', '--shard-size', '5') == 0
    printed = capsys.readouterr().out
    assert printed.count('0 files written') == 2 and printed.count('features/test') == 1
    assert cache(config, '--shard-size', '4') == 1
    assert 'begun with shard_size=5' in capsys.readouterr().err
    assert cache(config, '--out', str(tmp_path / 'other')) == 0
    assert len(list((tmp_path / 'other').rglob('*.safetensors'))) == 2
    assert cache(ROOT / 'configs/cggm/food101.py') == 1
    assert 'is no CachedFeatureDataset' in capsys.readouterr().err


@pytest.mark.parametrize('name', CONFIGS)
def test_published_settings(name):
    cfg = Config.fromfile(ROOT / f'configs/{name}.py')
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs) == (128, 60)
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-3, weight_decay=6e-3)
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=0.8)
    if name.startswith('cggm'):
        assert cfg.optim_wrapper.guide_optimizer == dict(type='AdamW', lr=5e-4, weight_decay=3e-3)
