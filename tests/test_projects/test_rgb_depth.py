"""Colour and depth with mmseg, on generated scenes: our launchers and mmseg's own train it balanced."""

import json
from pathlib import Path
from uuid import uuid4

import cv2
import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from projects.rgb_depth.generate_scenes import write_scenes
from projects.rgb_depth.rgb_depth import LoadDepth

CONFIGS = Path(__file__).parents[2] / 'projects' / 'rgb_depth' / 'configs'
PLAIN, GUIDED = CONFIGS / 'fcn_joint.py', CONFIGS / 'fcn_cggm.py'
THEIRS = Path(mmseg.__file__).parent / '.mim' / 'tools'


@pytest.fixture(scope='module')
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('generated_rgb_depth')
    write_scenes(folder, dict(train=2, val=2), size=64)
    assert all(path.name.startswith('generated_') for path in folder.rglob('*.png'))
    return folder


@pytest.fixture(scope='module')
def weights(tmp_path_factory) -> Path:
    """A checkpoint of the model without guides."""
    cfg = Config.fromfile(PLAIN)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    path = tmp_path_factory.mktemp('plain') / 'plain.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


@pytest.fixture
def options(scenes):
    """Return the options of a short training or test on the scenes."""

    def write(*more: str) -> list[str]:
        loaders = ('train', 'val', 'test')
        roots = [f'{loader}_dataloader.dataset.data_root={scenes}' for loader in loaders]
        settings = ['train_dataloader.batch_size=2', 'default_hooks.logger.interval=1', *roots, *more]
        return ['--cfg-options', f'experiment_name={uuid4().hex}', *settings]

    return write


def losses(work_dir: Path) -> list[dict]:
    paths = sorted(work_dir.glob('*/vis_data/scalars.json'))
    entries = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return [entry for entry in entries if 'loss' in entry]


def measured(work_dir: Path) -> float:
    (report,) = work_dir.glob('*/*.json')
    return json.loads(report.read_text())['mIoU']


def test_launchers_of_mmseg_train_it_balanced_from_plain_weights(tool, options, weights, tmp_path):
    """In mixed precision, resumed, and with weights of the model without guides to begin with."""
    still = 'optim_wrapper.optimizer.lr=0.0'
    start = options('train_cfg.max_epochs=1', f'load_from={weights}', still)
    tool(THEIRS / 'train.py', GUIDED, '--amp', '--work-dir', tmp_path / 'guided', *start)
    before = torch.load(weights, weights_only=True)['state_dict']
    after = torch.load(tmp_path / 'guided' / 'epoch_1.pth', weights_only=False)
    for name in ('backbone.colour.layer1.0.conv1.weight', 'decode_head.conv_seg.weight'):
        assert torch.equal(after['state_dict'][f'model.{name}'], before[name])

    longer = options('train_cfg.max_epochs=2', still)
    tool(THEIRS / 'train.py', GUIDED, '--amp', '--resume', '--work-dir', tmp_path / 'guided', *longer)
    logged = losses(tmp_path / 'guided')
    assert [entry['step'] for entry in logged] == [1, 2]
    assert all(f'balance/B/{name}' in entry for entry in logged for name in ('colour', 'depth'))


def test_launchers_of_mmseg_test_plain_weights_in_either_config(tool, options, weights, tmp_path):
    found = []
    for name, config in (('plain', PLAIN), ('guided', GUIDED)):
        folder = tmp_path / f'test_{name}'
        tool(THEIRS / 'test.py', config, weights, '--work-dir', folder, *options())
        found.append(measured(folder))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ('written', 'message'),
    [
        (None, 'no image'),
        (np.zeros((8, 9), np.uint16), r'of shape \(8, 9\)'),
        (np.zeros((8, 8, 3)), 'of shape'),
    ],
)
def test_depth_that_does_not_fit_is_named(written, message, tmp_path):
    path = tmp_path / 'generated_depth.png'
    if written is not None:
        cv2.imwrite(str(path), written)
    with pytest.raises(ValueError, match=f'generated_depth.png.*{message}.*image of one channel'):
        LoadDepth(farthest=5000)(dict(img=np.zeros((8, 8, 3)), img_path='a.png', img_path2=str(path)))


def test_depth_is_the_fourth_channel_in_its_own_units(tmp_path):
    path = tmp_path / 'generated_depth.png'
    cv2.imwrite(str(path), np.array([[0, 2500], [5000, 65535]], np.uint16))
    scene = dict(img=np.ones((2, 2, 3)), img_path='a.png', img_path2=str(path))
    image = LoadDepth(farthest=5000)(scene)['img']
    assert image.dtype == np.float32 and (image[..., :3] == 1).all()
    assert image[..., 3].tolist() == [[-1, 0], [1, 1]]
