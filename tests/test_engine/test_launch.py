"""What the launchers share."""

import argparse
import logging
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmcggm.engine.launch import build_runner, default_work_dir, enable_amp, load_config
from mmcggm.registry import MODEL_WRAPPERS
from mmcggm.utils.launch_arguments import add_common_arguments

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ('OptimWrapper', 'AmpOptimWrapper'),
        ('CGGMOptimWrapper', 'CGGMAmpOptimWrapper'),
        ('CGGMAmpOptimWrapper', 'CGGMAmpOptimWrapper'),
        ('BalancedOptimWrapper', 'BalancedAmpOptimWrapper'),
        ('mmcggm.BalancedAmpOptimWrapper', 'mmcggm.BalancedAmpOptimWrapper'),
        ('mmcggm.CGGMOptimWrapper', 'mmcggm.CGGMAmpOptimWrapper'),
    ],
)
def test_amp_keeps_the_balancing(given, expected):
    cfg = Config(dict(optim_wrapper=dict(type=given, balancer=dict(type='CGGM'))))
    enable_amp(cfg)
    assert cfg.optim_wrapper.type == expected and cfg.optim_wrapper.balancer.type == 'CGGM'


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('data/my store', 'data/my store'),
        ("'C:/brain tumours (2021)/a b'", 'C:/brain tumours (2021)/a b'),
        (' 3 ', 3),
        ('true', True),
        ('[1, 2]', [1, 2]),
        ('(1, [a, b])', (1, ['a', 'b'])),
        ('a, b', ['a', 'b']),
    ],
)
def test_options_keep_the_spaces_of_a_path(text, expected):
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    assert parser.parse_args(['--cfg-options', f'a.b={text}']).cfg_options == {'a.b': expected}


def test_amp_refuses_a_wrapper_that_it_does_not_know():
    with pytest.raises(ValueError, match=r"--amp knows .*'MyOptimWrapper'"):
        enable_amp(Config(dict(optim_wrapper=dict(type='MyOptimWrapper'))))


@pytest.mark.parametrize(
    ('path', 'model', 'expected'),
    [
        ('configs/ogm/mfeat.py', {}, 'work_dirs/ogm/mfeat'),
        ('configs/cggm/mfeat.py', dict(only=None), 'work_dirs/cggm/mfeat'),
        ('configs/single/mfeat.py', dict(only='fac'), 'work_dirs/single/mfeat_fac'),
        ('configs/my_gliomas.py', {}, 'work_dirs/my_gliomas'),
        ('mine/study/net.py', {}, 'work_dirs/study/net'),
        ('net.py', {}, 'work_dirs/net'),
    ],
)
def test_each_training_has_a_folder_of_its_own(path, model, expected):
    assert default_work_dir(path, Config(dict(model=model))) == Path(expected)


def test_the_folder_goes_by_what_is_overridden_and_gives_way_to_a_named_one(tmp_path):
    config = tmp_path / 'single' / 'mfeat.py'
    config.parent.mkdir()
    config.write_text("model = dict(type='GuidedModel')\n")
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_common_arguments(parser)

    def work_dir(*flags: str) -> str:
        return load_config(parser.parse_args([str(config), *flags])).work_dir

    assert work_dir() == 'work_dirs/single/mfeat'
    assert work_dir('--cfg-options', 'model.only=fac') == 'work_dirs/single/mfeat_fac'
    assert work_dir('--cfg-options', 'model.only=None') == 'work_dirs/single/mfeat'
    assert work_dir('--work-dir', 'elsewhere') == 'elsewhere'
    config.write_text("work_dir = 'in_the_config'\n")
    assert work_dir() == 'in_the_config'


@MODELS.register_module()
class LayerToSpare(BaseModel):
    """A model with a layer that its loss does not reach."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, inputs, mode):
        return dict(loss=self.used(inputs).mean())


@pytest.fixture
def processes(monkeypatch):
    """What a launcher tells one of several processes on CPUs; here there is but one."""
    told = dict(RANK=0, LOCAL_RANK=0, WORLD_SIZE=1, MASTER_ADDR='127.0.0.1', MASTER_PORT=0)  # 0: a free one
    told |= dict(OMP_NUM_THREADS=1, MKL_NUM_THREADS=1)  # which MMEngine would set for good
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr('mmcggm.engine.launch.get_device', lambda: 'cpu')
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures('processes')
@pytest.mark.parametrize(
    'settings',
    [
        dict(find_unused_parameters=True),
        dict(model_wrapper_cfg=dict(find_unused_parameters=True)),
        dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', find_unused_parameters=True)),
    ],
    ids=['config', 'wrapper', 'typed-wrapper'],
)
def test_processes_on_cpus_train_what_has_unused_parameters(settings, tmp_path):
    loader = dict(
        dataset=[dict(inputs=torch.ones(2))] * 8, sampler=dict(type='DefaultSampler', shuffle=False)
    )
    cfg = dict(
        model=dict(type='LayerToSpare'),
        work_dir=str(tmp_path),
        launcher='pytorch',
        log_level='ERROR',
        train_dataloader=dict(loader, batch_size=2, collate_fn=dict(type='default_collate')),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        default_scope='mmengine',
        experiment_name=f'unused-{uuid4()}',
    )
    runner = build_runner(Config({**cfg, **settings}))
    runner.train()
    assert isinstance(runner.model, MMDistributedDataParallel) and runner.iter == 4


@pytest.mark.usefixtures('processes')
def test_processes_on_cpus_wrap_the_model_as_those_on_gpus_do(tmp_path):
    cfg = dict(model=dict(type='LayerToSpare'), work_dir=str(tmp_path), launcher='pytorch', log_level='ERROR')
    cfg |= dict(default_scope='mmengine', experiment_name=f'wrapped-{uuid4()}')
    model = build_runner(Config(cfg)).model
    assert not model.broadcast_buffers and not model.find_unused_parameters and model.device_ids is None


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_a_launcher_of_gpus_is_refused_where_there_is_none(launcher, monkeypatch, tmp_path):
    monkeypatch.setattr('mmcggm.engine.launch.get_device', lambda: 'cpu')
    with pytest.raises(ValueError, match=f"'{launcher}' gives each process a GPU.*dist_train.sh"):
        build_runner(Config(dict(launcher=launcher, work_dir=str(tmp_path))))


# Prints, in place of an import of the first argument, what the environment says of waiting.
AT_IMPORT = """
import os, runpy, sys
stop, tool, *arguments = sys.argv[1:]
class Stop:
    def find_spec(name, path=None, target=None):
        if name == stop:
            sys.exit('at import: ' + os.environ['OMP_WAIT_POLICY'])
sys.meta_path.insert(0, Stop)
sys.path.insert(0, os.getcwd())
sys.argv = [tool, *arguments]
runpy.run_path(tool, run_name='__main__')
"""


def start(*arguments: str, **env: str) -> subprocess.CompletedProcess:
    """Start a tool in a process that ends when the module that is named first would be imported."""
    environment = {k: v for k, v in os.environ.items() if k != 'OMP_WAIT_POLICY'}
    return subprocess.run(
        [sys.executable, '-c', AT_IMPORT, *arguments],
        cwd=ROOT,
        env=environment | env,
        capture_output=True,
        text=True,
    )


TOOLS = {
    'tools/train.py': ('torch', ['config.py']),
    'tools/test.py': ('torch', ['config.py', 'weights.pth']),
    'tools/benchmark.py': ('mmcggm.benchmark', ['config.py']),  # which starts processes
}


@pytest.mark.parametrize('tool', TOOLS)
def test_threads_wait_passively_unless_the_user_says_otherwise(tool):
    module, arguments = TOOLS[tool]
    assert 'at import: PASSIVE' in start(module, tool, *arguments).stderr
    assert 'at import: ACTIVE' in start(module, tool, *arguments, OMP_WAIT_POLICY='ACTIVE').stderr


@pytest.mark.parametrize('tool', TOOLS)
def test_help_and_wrong_flags_need_no_torch(tool):
    found = start('torch', tool, '--help', OMP_WAIT_POLICY='reached')
    assert found.returncode == 0 and '--cfg-options' in found.stdout
    found = start('torch', tool, OMP_WAIT_POLICY='reached')
    assert found.returncode == 2 and 'the following arguments are required: config' in found.stderr


@pytest.mark.parametrize('tool', ['dist_train.sh', 'dist_test.sh'])
@pytest.mark.parametrize('given', ['0', '--resume', 'two'])
def test_a_launcher_asks_for_the_number_of_processes(tool, given):
    arguments = ['config.py', *(['epoch_1.pth'] if tool == 'dist_test.sh' else []), given]
    command = ['bash', f'tools/{tool}', *arguments, '--work-dir']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and 'is no number of processes from 1 on' in done.stderr


def test_a_wrapper_for_processes_is_found_without_a_warning(caplog, monkeypatch):
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [caplog.handler])
    with DefaultScope.overwrite_default_scope('mmcggm'):
        assert MODEL_WRAPPERS.get('MMDistributedDataParallel') is MMDistributedDataParallel
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_process_that_torchrun_did_not_start_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match=r"'pytorch' is for processes that torchrun starts.*dist_train\.sh"):
        build_runner(Config(dict(work_dir=str(tmp_path), launcher='pytorch')))
