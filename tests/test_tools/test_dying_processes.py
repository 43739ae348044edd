"""Two processes, one of which dies: the other ends soon, with the cause, or both begin again and go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmcggm.engine.checkpoint_files import newest_checkpoint
from tests.faults.kills import same
from tests.faults.trainings import GUIDED, ITERATIONS

ROOT = Path(__file__).parents[2]
CONFIG = """
custom_imports = dict(imports=['tests.faults.trainings'], allow_failed_imports=False)
default_scope = 'mmcggm'
model = {guided}
train_dataloader = dict(
    dataset=dict(type='RandomData', size=72),
    batch_size=8,
    num_workers=1,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
optim_wrapper = dict(
    type='BalancedOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
    guide_optimizer=dict(type='SGD', lr=0.05),
    balancer=dict(type='CGGM', progress='SmoothedProgress'),
)
train_cfg = dict(by_epoch=True, max_epochs=3)
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False, max_keep_ckpts=1))
custom_hooks = [dict(type='BalancingHook')]
randomness = dict(seed=0, diff_rank_seed=True)
"""
PATIENCE = 30  # seconds in which the last process has ended


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('config') / 'small.py'
    path.write_text(CONFIG.format(guided=GUIDED))
    return path


def start(config: Path, work_dir: Path, *flags: str, restarts: int = 0) -> subprocess.Popen:
    """Start a training in two processes."""
    environment = {
        **os.environ,
        'OMP_NUM_THREADS': '1',
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        'PYTHONPATH': str(ROOT),
        'MAX_RESTARTS': str(restarts),
    }
    command = ['bash', 'tools/dist_train.sh', config, '2', '--work-dir', work_dir, *flags]
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def final_state(folder: Path) -> dict:
    checkpoint = torch.load(folder / f'iter_{ITERATIONS}.pth', weights_only=True)
    return {key: checkpoint[key] for key in ('state_dict', 'optimizer', 'place')}


@pytest.fixture(scope='module')
def whole(config, tmp_path_factory) -> Path:
    """The work_dir of a training in which nobody dies."""
    folder = tmp_path_factory.mktemp('whole')
    process = start(config, folder)
    log = process.communicate(timeout=600)[0]
    assert process.returncode == 0, log[-3000:]
    return folder


def test_with_restarts_a_training_ends_as_if_nothing_had_been(config, whole, tmp_path):
    script = config.with_name('dying.py')
    witness = tmp_path / 'witness'
    write_dying(script, config, witness)
    process = start(script, tmp_path, '--resume', restarts=2)
    log = process.communicate(timeout=600)[0]
    assert process.returncode == 0 and witness.exists(), log[-3000:]
    assert same(final_state(tmp_path), final_state(whole))


@pytest.mark.parametrize('error', [None, 'the reader of sample 17 failed'], ids=['killed', 'error'])
def test_one_that_dies_ends_the_other_with_the_cause(config, tmp_path, error):
    script = config.with_name(f'dying_{error is None}.py')
    witness = tmp_path / 'witness'
    write_dying(script, config, witness, error)
    process = start(script, tmp_path)
    wait(witness.exists, process)
    log = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode != 0 and time.time() - witness.stat().st_mtime < PATIENCE
    end = '\n'.join(log.splitlines()[-40:])
    assert (error or 'Signal 9 (SIGKILL)') in end and 'rank      : 1' in end, log[-4000:]
    assert not processes_of(process.pid)


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGTERM])
def test_it_ends_soon_when_it_is_told_to(config, tmp_path, sent):
    process = start(config, tmp_path, '--resume')
    wait(lambda: any(tmp_path.glob('iter_*.pth')), process)
    os.killpg(process.pid, sent)
    told = time.monotonic()
    process.communicate(timeout=PATIENCE)
    assert time.monotonic() - told < PATIENCE and not processes_of(process.pid)
    assert newest_checkpoint(tmp_path)[0] and not list(tmp_path.glob('.tmp-*'))


def test_restarts_without_resuming_are_refused(config, tmp_path):
    process = start(config, tmp_path, restarts=1)
    assert 'MAX_RESTARTS needs --resume' in process.communicate(timeout=600)[0] and process.returncode == 2


def write_dying(path: Path, config: Path, witness: Path, error: str | None = None) -> None:
    hook = dict(type='DyingHook', iteration=8, witness=str(witness), error=error)
    path.write_text(f"_base_ = ['{config}']\ncustom_hooks = [dict(type='BalancingHook'), {hook}]\n")


def wait(until, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 600
    while not until():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0][-3000:]
        time.sleep(0.05)


def processes_of(session: int) -> list[str]:
    """Return what still runs in a session."""
    found = subprocess.run(['ps', '-o', 'stat=,cmd=', '-s', str(session)], capture_output=True, text=True)
    return [line for line in found.stdout.splitlines() if not line.startswith('Z')]
