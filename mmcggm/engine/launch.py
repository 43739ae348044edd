"""What the launchers in ``tools/`` share."""

from __future__ import annotations

import argparse
import os
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

from mmcggm.registry import OPTIM_WRAPPERS, RUNNERS
from mmcggm.utils.checkpoints import trust_checkpoints
from mmcggm.utils.folders import make_writable

from .runner import BalancedRunner
from .settings import read_config

AMP_WRAPPERS = {
    'OptimWrapper': 'AmpOptimWrapper',
    'BalancedOptimWrapper': 'BalancedAmpOptimWrapper',
    'CGGMOptimWrapper': 'CGGMAmpOptimWrapper',
}


def load_config(args: argparse.Namespace) -> Config:
    """Load the config that the command line names, with its overrides and work_dir; heed ``--trust``."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.trust:
        trust_checkpoints()
    cfg = read_config(args.config, args.cfg_options)
    if args.launcher is not None:
        cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(default_work_dir(args.config, cfg))
    return cfg


def default_work_dir(path: str | Path, cfg: Config) -> Path:
    """Return the folder of a training whose config names none: ``configs/ogm/mfeat.py`` has its own.

    That is ``work_dirs/ogm/mfeat``, or ``work_dirs/ogm/mfeat_fac`` where the config trains the modality
    ``fac`` alone (``model.only``). A config that lies in ``configs`` itself, or in the current folder, has
    ``work_dirs/<name>``.
    """
    path = Path(path).resolve()
    folder = '' if path.parent.name == 'configs' or path.parent == Path.cwd() else path.parent.name
    only = (cfg.get('model') or {}).get('only')
    return Path('work_dirs', folder, path.stem if only is None else f'{path.stem}_{only}')


def enable_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to its mixed precision counterpart, which keeps the balancing.

    Raises:
        ValueError: If the wrapper's type has no known counterpart.
    """
    wrapper = cfg.optim_wrapper
    wrapper.setdefault('type', 'OptimWrapper')
    given = wrapper.type
    is_class = isinstance(given, type)  # of a config in pure Python style
    name = given.__name__ if is_class else given.rpartition('.')[-1]  # such as mmcggm.CGGMOptimWrapper
    if name in AMP_WRAPPERS.values():
        return
    if name not in AMP_WRAPPERS:
        raise ValueError(
            f'--amp knows {sorted(AMP_WRAPPERS)}, but `optim_wrapper.type` in the config is '
            f"'{given}': set a mixed precision wrapper there instead."
        )
    amp = AMP_WRAPPERS[name]
    wrapper.type = OPTIM_WRAPPERS.get(amp) if is_class else given.removesuffix(name) + amp


def build_runner(cfg: Config) -> Runner:
    """Build the runner; several processes without an accelerator talk through gloo.

    MMEngine's own set-up asks for a CUDA device in each process. As there, ``env_cfg.dist_cfg.timeout`` is
    how many seconds processes wait for each other before they give up.

    Raises:
        OSError: If nothing can be written to the ``work_dir``.
        ValueError: If the launcher needs an accelerator, and there is none.
    """
    make_writable(cfg.work_dir, 'The work_dir')
    launcher = cfg.get('launcher', 'none')
    if launcher in ('slurm', 'mpi') and get_device() == 'cpu' and not dist.is_initialized():
        raise ValueError(
            f"The launcher '{launcher}' gives each process a GPU, and this machine shows none: ask for GPUs, "
            'or train on its CPUs with tools/dist_train.sh, or torchrun and --launcher pytorch.'
        )
    if launcher == 'pytorch' and 'RANK' not in os.environ and not dist.is_initialized():
        raise ValueError(
            "The launcher 'pytorch' is for processes that torchrun starts, and it has not started this one: "
            'take tools/dist_train.sh or tools/dist_test.sh, or torchrun. For one process, leave --launcher '
            'out.'
        )
    if launcher == 'pytorch' and get_device() == 'cpu':
        seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
        dist.init_process_group('gloo', timeout=None if seconds is None else timedelta(seconds=seconds))
        if cfg.get('model_wrapper_cfg') is None:  # as Runner.wrap_model has it
            unused = cfg.get('find_unused_parameters', False)
            cfg.model_wrapper_cfg = dict(broadcast_buffers=False, find_unused_parameters=unused)
        cfg.model_wrapper_cfg.device_ids = None
    return BalancedRunner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
