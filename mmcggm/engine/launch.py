"""What the launchers in ``tools/`` share."""

from __future__ import annotations

import argparse
import os
import os.path as osp

import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

AMP_WRAPPERS = {
    'OptimWrapper': 'AmpOptimWrapper',
    'BalancedOptimWrapper': 'BalancedAmpOptimWrapper',
    'CGGMOptimWrapper': 'CGGMAmpOptimWrapper',
}


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that training and testing share."""
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and results')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config: key=value, nested keys with dots; lists as key="[a,b]" or '
        'key=a,b, nested ones as key="[(a,b),(c,d)]", without white space',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # Some launchers pass the local rank as an argument instead of the environment.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Load the config that the command line names, with its overrides and work_dir."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('./work_dirs', osp.splitext(osp.basename(args.config))[0])
    return cfg


def enable_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to its mixed precision counterpart, which keeps the balancing.

    Raises:
        ValueError: If the wrapper's type has no known counterpart.
    """
    wrapper = cfg.optim_wrapper
    wrapper.setdefault('type', 'OptimWrapper')
    scope, _, name = wrapper.type.rpartition('.')  # such as mmcggm.CGGMOptimWrapper
    if name in AMP_WRAPPERS.values():
        return
    if name not in AMP_WRAPPERS:
        raise ValueError(
            f'--amp knows {sorted(AMP_WRAPPERS)}, but `optim_wrapper.type` in the config is '
            f"'{wrapper.type}': set a mixed precision wrapper there instead."
        )
    wrapper.type = f'{scope}.{AMP_WRAPPERS[name]}' if scope else AMP_WRAPPERS[name]


def build_runner(cfg: Config) -> Runner:
    """Build the runner; several processes without an accelerator talk through gloo.

    MMEngine's own set-up asks for a CUDA device in each process.
    """
    if cfg.launcher == 'pytorch' and get_device() == 'cpu':
        dist.init_process_group('gloo')
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
    return Runner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
