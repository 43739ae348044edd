"""One run, in a process of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmcggm.engine.checkpoint_files import newest_checkpoint
from mmcggm.engine.launch import build_runner
from mmcggm.utils.processes import redirect_output

from .results import CONFIG, LOG, write_result

LIMITED = 'train/grad_norm_limited'  # whether the limit on the gradient was active, each update


def run_in_process(folder: Path, fingerprint: str, checkpoint: str | None) -> None:
    """Be the process of a run: one thread, all output in the run's log.

    A training whose config says ``resume = True`` goes on from the newest whole checkpoint in its folder.

    Args:
        folder: Of the run. It holds ``config.py`` and gets logs, checkpoints and the result.
        fingerprint: Of its config.
        checkpoint: Which one is tested, ``'best'`` on the validation split or ``'last'``, or None for a
            trial, which is validated alone.
    """
    redirect_output(folder / LOG, append=True)
    torch.set_num_threads(1)
    # MMEngine prints the config with each checkpoint; to format it would take seconds. (`fromfile` takes the
    # flag, too, but does not heed it.)
    path = folder / CONFIG
    cfg = Config(Config.fromfile(path).to_dict(), filename=str(path), format_python_code=False)
    cfg.work_dir, cfg.launcher = str(folder), 'none'
    _set_resumption(cfg, folder)
    runner = build_runner(cfg)
    start = time.monotonic()
    runner.train()
    seconds = time.monotonic() - start
    content: dict[str, Any] = dict(train_seconds=round(seconds, 1), train_steps=runner.max_iters)
    if cfg.resume:
        content['resumed'] = True  # the seconds are those since then
    limited = runner.message_hub.log_scalars.get(LIMITED)
    if limited is not None:
        content['limited_share'] = round(float(limited.mean()), 4)
    hook = next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
    if hook.save_best:
        content['validation'] = _validation(runner, hook)
    if checkpoint == 'best':
        runner.load_checkpoint(hook.best_ckpt_path, strict=True)
    if checkpoint is not None:
        content['metrics'] = _scalars(runner.test())
    write_result(folder, fingerprint, **content)


def _set_resumption(cfg: Config, folder: Path) -> None:
    """Let a training go on from its newest checkpoint, or keep none that it will not go on from."""
    if not cfg.get('resume', False):
        # It starts anew if it is stopped, so nobody needs the checkpoints between the best and the last.
        cfg.merge_from_dict({'default_hooks.checkpoint.interval': -1})
        cfg.resume = False
        return
    newest = newest_checkpoint(folder)
    for reason in newest.passed_over:
        print(f'Resuming passes over a checkpoint. {reason}')
    cfg.resume = newest.path is not None
    if newest.path is not None:
        cfg.load_from = str(newest.path)


def _validation(runner: Runner, hook: CheckpointHook) -> dict[str, Any]:
    """Return the best value on the validation split, its metric, and which is better."""
    metric, rule = hook.key_indicators[0], hook.rules[0]
    if (hook.best_ckpt_path if len(hook.key_indicators) == 1 else hook.best_ckpt_path_dict[metric]) is None:
        raise RuntimeError(
            f"No checkpoint was best in '{metric}' (`default_hooks.checkpoint.save_best`): the validation "
            'had no finite value of it.'
        )
    key = 'best_score' if len(hook.key_indicators) == 1 else f'best_score_{metric}'
    return dict(metric=metric, value=float(runner.message_hub.get_info(key)), rule=rule)


def _scalars(metrics: dict[str, object]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if isinstance(value, (int, float))}
