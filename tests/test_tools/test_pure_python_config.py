"""A config in MMEngine's pure Python style, which names classes instead of strings, takes all flags."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
CONFIG = """
from mmengine.dataset import DefaultSampler, default_collate
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop
from torch.optim import SGD

from mmcggm.balancers.methods.cggm import CGGM
from mmcggm.engine import BalancedOptimWrapper, BalancingHook, GuidedOptimWrapperConstructor
from mmcggm.guided import GuidedModel
from tests.tiny import Accuracy, TinyClassifier, TinyData, TinyGuide, TinyTask

model = dict(
    type=GuidedModel,
    model=dict(type=TinyClassifier),
    encoders=dict(left='left_encoder', right='right_encoder'),
    head='classifier',
    guide=dict(type=TinyGuide),
    task=dict(type=TinyTask),
)
loader = dict(
    dataset=dict(type=TinyData),
    batch_size=16,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False),
    collate_fn=default_collate,
)
train_dataloader = dict(**loader)
val_dataloader = dict(**loader)
test_dataloader = dict(**loader)
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=1)
val_cfg = dict(type=ValLoop)
test_cfg = dict(type=TestLoop)
val_evaluator = [dict(type=Accuracy)]
test_evaluator = [dict(type=Accuracy)]
optim_wrapper = dict(
    type=BalancedOptimWrapper,
    constructor=GuidedOptimWrapperConstructor,
    optimizer=dict(type=SGD, lr=0.1),
    balancer=dict(type=CGGM, rho=1.3, lam=0.2),
)
custom_hooks = [dict(type=BalancingHook)]
default_hooks = dict(checkpoint=dict(type=CheckpointHook, interval=1))
auto_scale_lr = dict(base_batch_size=16)
"""


@pytest.fixture
def tool(tmp_path):
    """Run a tool on the config, in a folder of its own; return what it printed."""
    (tmp_path / 'pure.py').write_text(CONFIG)

    def run(name: str, *flags: str, fails: bool = False) -> str:
        command = [sys.executable, str(ROOT / 'tools' / name), 'pure.py', *flags]
        environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_all_flags(tool, tmp_path):
    tool('train.py', '--no-validate', '--cfg-options', 'optim_wrapper.balancer.rho=1.1')
    work_dir = tmp_path / 'work_dirs' / 'pure'
    log = tool(
        *('train.py', '--resume', '--amp', '--auto-scale-lr', '--cfg-options', 'train_cfg.max_epochs=2')
    )
    assert 'BalancedAmpOptimWrapper' in log and 'Epoch(val) [2]' in log
    first, second = (torch.load(work_dir / f'epoch_{n}.pth', weights_only=False) for n in (1, 2))
    assert (first['meta']['epoch'], second['meta']['iter']) == (1, 8)
    assert 'accuracy' in tool('test.py', str(work_dir / 'epoch_2.pth'), '--work-dir', 'test')


def test_what_nothing_reads_is_named(tool):
    last = tool('train.py', '--cfg-options', 'optim_wraper.optimizer.lr=1', fails=True).splitlines()[-1]
    assert last.startswith("Error: The option 'optim_wraper.optimizer.lr' has no effect")
