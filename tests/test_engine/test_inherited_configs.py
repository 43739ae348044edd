"""Configs of mmpretrain and mmseg as they are installed, balanced by what docs/any_model.md says to add."""

import json
from pathlib import Path
from uuid import uuid4

import cv2
import mmpretrain
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from mmcggm.engine.settings import read_config
from mmcggm.guided import GuidedModel

CONFIGS = Path(__file__).parents[2] / 'configs'
THEIR_TRAIN = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'train.py'
CLASSIFIED = "dict(type='mmcggm.ClassificationTask', target='data_samples.gt_label', loss='head.loss_module')"
SEGMENTED = "dict(type='mmcggm.SegmentationTask', score='PixelAccuracy')"
BALANCED = """
_base_ = ['{base}']
model = dict(
    _delete_=True, type='mmcggm.GuidedModel', model=_base_.model,
    encoders=dict(early='backbone.layer1', late='backbone.layer2'), head='{head}', task={task})
optim_wrapper = dict(balancer=dict(type='CGGM', rho='neutral', lam=0.1))
runner_type = 'mmcggm.BalancedRunner'
"""
# The config, what makes its model small, its head and task; two stages of its backbone stand for encoders.
STOCK = {
    'classifier': (
        'mmpretrain::resnet/resnet18_8xb16_cifar10.py',
        'backbone=dict(stem_channels=4, base_channels=4), head=dict(in_channels=32)',
        'head.fc',
        CLASSIFIED,
    ),
    'segmentor': (
        'mmseg::fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py',
        'backbone=dict(base_channels=4), decode_head=dict(in_channels=32, channels=8), '
        'auxiliary_head=dict(in_channels=16, channels=8), data_preprocessor=dict(size=(32, 32))',
        'decode_head.conv_seg',
        SEGMENTED,
    ),
}


def built(cfg: Config, folder: Path) -> torch.nn.Module:
    """Return the model that MMEngine's runner makes of a config."""
    names = ('model', 'data_preprocessor', 'default_scope')
    config = {name: cfg[name] for name in names}
    config |= dict(work_dir=str(folder), experiment_name=uuid4().hex, log_level='ERROR')
    return revert_sync_batchnorm(Runner.from_cfg(Config(config)).model)


@pytest.fixture(scope='module', params=STOCK)
def stock(request, tmp_path_factory):
    """The name of a model, the model without guides, and with them."""
    folder = tmp_path_factory.mktemp('stock')
    base, small, head, task = STOCK[request.param]
    (folder / 'plain.py').write_text(f"_base_ = ['{base}']\nmodel = dict({small})\n")
    (folder / 'guided.py').write_text(BALANCED.format(base='plain.py', head=head, task=task))
    plain, guided = (built(read_config(folder / f'{name}.py'), folder) for name in ('plain', 'guided'))
    assert isinstance(guided, GuidedModel) and guided.data_preprocessor is guided.model.data_preprocessor
    guided.load_state_dict(plain.state_dict(), strict=False)
    return request.param, plain, guided


@settings(max_examples=4)
@given(seed=st.integers(0, 2**31), count=st.integers(2, 3), shift=st.floats(0, 200))
def test_losses_are_those_of_the_model_without_guides(stock, seed, count, shift):
    """As they can only be if the images are normalised as they are without."""
    kind, plain, guided = stock
    generator = torch.Generator().manual_seed(seed)
    images = (torch.rand(count, 3, 32, 32, generator=generator) * 55 + shift).to(torch.uint8)
    if kind == 'classifier':
        samples = [DataSample().set_gt_label(index) for index in range(count)]
    else:
        labels = torch.randint(0, 19, (count, 1, 32, 32), generator=generator)
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
        for sample in samples:
            sample.set_metainfo(dict(img_shape=(32, 32), ori_shape=(32, 32)))
    losses = []
    for model in (plain, guided):
        given_samples = [sample.clone() for sample in samples]
        batch = model.data_preprocessor(dict(inputs=list(images), data_samples=given_samples), training=True)
        assert batch['inputs'].abs().max() < 10  # not the pixels' values
        torch.manual_seed(seed)  # of dropout
        losses.append(model(**batch, mode='loss'))
    theirs, ours = losses
    assert theirs and all(torch.equal(value, ours[name]) for name, value in theirs.items())


@pytest.fixture
def classifier(tmp_path) -> Path:
    """A small classifier with EMA that inherits mmpretrain's config, and generated images in two classes."""
    for split in ('train', 'val'):
        for label in ('dark', 'light'):
            folder = tmp_path / 'generated' / split / label
            folder.mkdir(parents=True)
            for number in range(4):
                image = np.full((32, 32, 3), 60 + 120 * (label == 'light') + number, np.uint8)
                cv2.imwrite(str(folder / f'generated_{number}.png'), image)
    base, small, head, task = STOCK['classifier']
    (tmp_path / 'plain.py').write_text(f"""
_base_ = ['{base}']
model = dict({small})
model['head'].update(num_classes=2, topk=(1,))
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
images = dict(_delete_=True, type='CustomDataset', pipeline=pipeline)
loader = dict(num_workers=0, persistent_workers=False, batch_size=4)
train_dataloader = dict(dataset=dict(images, data_root='{tmp_path}/generated/train'), **loader)
val_dataloader = dict(dataset=dict(images, data_root='{tmp_path}/generated/val'), **loader)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
default_hooks = dict(logger=dict(interval=1))
""")
    path = tmp_path / 'guided.py'
    path.write_text(BALANCED.format(base='plain.py', head=head, task=task))
    return path


def named(*options: str) -> list[str]:
    """Return the command line's ``--cfg-options``, with a name by which MMEngine tells trainings apart."""
    return ['--cfg-options', f'experiment_name={uuid4().hex}', *options]


def logged(work_dir: Path) -> list[dict]:
    """Return what was logged in training, of all runs in a folder."""
    paths = sorted(work_dir.glob('*/vis_data/scalars.json'))
    entries = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return [entry for entry in entries if 'loss' in entry]


@pytest.mark.parametrize('launcher', ['ours', 'theirs'])
def test_a_classifier_of_mmpretrain_trains_balanced(classifier, launcher, tool, tmp_path):
    """In mixed precision, on from a checkpoint, with the options of both launchers and the base's hook."""
    script, flags = 'train.py', []
    if launcher == 'theirs':
        script, flags = THEIR_TRAIN, ['--no-persistent-workers', '--no-pin-memory']
    work_dir = tmp_path / 'work'
    tool(script, classifier, '--amp', '--work-dir', work_dir, *flags, *named())
    resumed = named('train_cfg.max_epochs=2')
    tool(script, classifier, '--amp', '--resume', '--work-dir', work_dir, *flags, *resumed)
    entries = logged(work_dir)
    assert [entry['step'] for entry in entries] == [1, 2, 3, 4]
    assert all(f'balance/B/{name}' in entry for entry in entries for name in ('early', 'late'))
    checkpoint = torch.load(work_dir / 'epoch_2.pth', weights_only=False)
    assert checkpoint['optimizer']['balancer']['method'] == 'CGGM'
    assert checkpoint['ema_state_dict'] and 'loss_scaler' in checkpoint['optimizer']


@pytest.mark.parametrize(
    ('base', 'hint'),
    [
        ('./_base_/guided/av_digits.py', "inherit it from anywhere as '{own}_base_/guided/av_digits.py'"),
        ('../configs/cggm/watch.py', "inherit it from anywhere as '{own}cggm/watch.py'"),
        (
            './mine.py',
            "What mmcggm brings is inherited from anywhere in this way: '{own}_base_/guided/features",
        ),
    ],
)
@pytest.mark.parametrize('through', [False, True])
@pytest.mark.parametrize('installed', ['clone', 'wheel'])
def test_a_base_that_is_not_there_is_named_with_what_there_is(
    tmp_path, monkeypatch, base, hint, through, installed
):
    """By the name by which MMEngine finds it: that of a wheel is not there in a clone."""
    own = f'{CONFIGS}/'
    if installed == 'wheel':
        own = 'mmcggm::'
        package = tmp_path / 'package'
        package.joinpath('.mim').mkdir(parents=True)
        package.joinpath('.mim', 'configs').symlink_to(CONFIGS)
        monkeypatch.setattr('mmcggm.utils.carried.PACKAGE', package)
    path = tmp_path / 'own.py'
    path.write_text(f'_base_ = [{base!r}]')
    if through:
        path = tmp_path / 'last.py'
        path.write_text("_base_ = ['./own.py']")
    with pytest.raises(FileNotFoundError) as error:
        read_config(path)
    assert str(error.value).startswith(f"'{tmp_path / 'own.py'}' inherits '{base}', but there is no file")
    assert hint.format(own=own) in str(error.value)


def test_the_name_of_a_wheels_config_is_refused_in_a_clone_with_the_path(tmp_path):
    path = tmp_path / 'own.py'
    path.write_text("_base_ = ['mmcggm::cggm/watch.py']")
    with pytest.raises(FileNotFoundError, match=f"inherit '{CONFIGS}/cggm/watch.py' instead"):
        read_config(path)
