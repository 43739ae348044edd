"""Sharded training equals that of one process, and their checkpoints are the same."""

import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.dataset import default_collate
from mmengine.runner import FlexibleRunner

from mmcggm.engine import BalancingHook
from tests.processes import run_processes
from tests.tiny import TinyClassifier, TinyData, tiny_guided, tiny_runner, wrapper_config

BATCH = 16


def sharded_runner(work_dir: Path, max_epochs: int, **overrides) -> FlexibleRunner:
    """Return the sharded counterpart of :func:`tiny_runner`, on this process's half of each batch."""
    settings = dict(
        model=tiny_guided(),
        work_dir=str(work_dir),
        strategy=dict(type='mmcggm.FSDP2Strategy'),
        train_dataloader=dict(
            dataset=TinyData(),
            batch_size=BATCH // dist.get_world_size(),
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=default_collate,
        ),
        optim_wrapper=settings_of_the_wrapper(),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=2), checkpoint=dict(type='CheckpointHook', interval=1)
        ),
        custom_hooks=[BalancingHook()],
        randomness=dict(seed=0),
        launcher='pytorch',
        default_scope='mmcggm',
        log_level='ERROR',
    )
    return FlexibleRunner(**{**settings, **overrides})


def settings_of_the_wrapper() -> dict:
    return wrapper_config(clip_grad=dict(max_norm=0.5))


def worker(rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    sys.stdout = sys.stderr  # FlexibleRunner prints
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world)
    sharded_runner(folder / 'sharded', 2).train()
    sharded_runner(folder / 'resumed', 3, load_from=str(folder / 'sharded/epoch_2.pth'), resume=True).train()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    if torch.__version__ < (2, 9):
        pytest.skip('on CPUs, PyTorch before 2.9 sums gradients where FSDP2 asks for their mean')
    folder = tmp_path_factory.mktemp('fsdp')
    run_processes(worker, 2, folder)
    return folder


def run_alone(work_dir: Path, max_epochs: int, **overrides) -> dict:
    loader = dict(
        dataset=TinyData(), batch_size=BATCH, num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False), collate_fn=default_collate,
    )  # fmt: skip
    runner = tiny_runner(
        work_dir, max_epochs, train_dataloader=loader, optim_wrapper=settings_of_the_wrapper(), **overrides
    )
    runner.train()
    return torch.load(work_dir / f'epoch_{max_epochs}.pth', weights_only=False)


def assert_same(found: dict, expected: dict) -> None:
    for name, value in expected['state_dict'].items():
        torch.testing.assert_close(found['state_dict'][name], value, rtol=1e-5, atol=1e-5, msg=name)
    balancers = [checkpoint['optimizer']['balancer']['state'] for checkpoint in (found, expected)]
    for name in ('B', 'score'):
        torch.testing.assert_close(balancers[0][name], balancers[1][name])
    states = found['optimizer']['state'], expected['optimizer']['state']
    assert set(states[0]) == set(states[1])
    for index, state in states[1].items():
        torch.testing.assert_close(states[0][index]['momentum_buffer'], state['momentum_buffer'])


def test_two_sharded_processes_equal_one(folder, tmp_path):
    found = torch.load(folder / 'sharded/epoch_2.pth', weights_only=False)
    assert_same(found, run_alone(tmp_path, 2))


def test_sharded_training_is_resumed(folder, tmp_path):
    found = torch.load(folder / 'resumed/epoch_3.pth', weights_only=False)
    assert_same(found, run_alone(tmp_path, 3))


def test_a_sharded_checkpoint_is_resumed_by_one_process(folder, tmp_path):
    checkpoint = str(folder / 'sharded/epoch_2.pth')
    found = run_alone(tmp_path / 'resumed', 3, load_from=checkpoint, resume=True)
    assert_same(found, run_alone(tmp_path / 'whole', 3))


def test_a_model_without_guides_is_refused():
    from mmcggm.engine import FSDP2Strategy

    with pytest.raises(TypeError, match='shards a GuidedModel, but `model` is a TinyClassifier'):
        FSDP2Strategy()._wrap_model(TinyClassifier())
