"""One run, in a process of its own: ``python -m mmcggm.benchmark.run FOLDER FINGERPRINT CHECKPOINT``.

``FOLDER`` holds the run's ``config.py`` and gets its logs, checkpoints and result. The process ends when
its standard input does, so that it does not outlive the one that started it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmcggm.engine.launch import build_runner
from mmcggm.utils.processes import end_with_standard_input

from .results import CONFIG, write_result


def train_and_test(folder: Path, fingerprint: str, checkpoint: str) -> None:
    """Train, test the chosen checkpoint once, and write the result.

    Args:
        folder: Of the run.
        fingerprint: Of its config.
        checkpoint: ``'best'`` on the validation split, or ``'last'``.
    """
    cfg = Config.fromfile(folder / CONFIG)
    cfg.work_dir, cfg.launcher = str(folder), 'none'
    runner = build_runner(cfg)
    start = time.monotonic()
    runner.train()
    seconds = time.monotonic() - start
    if checkpoint == 'best':
        runner.load_checkpoint(_best(runner), map_location='cpu')
    write_result(folder, fingerprint, _scalars(runner.test()), train_seconds=round(seconds, 1))


def _best(runner: Runner) -> str:
    hook = next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
    if hook.best_ckpt_path is None:
        raise RuntimeError(
            f"No checkpoint was best in '{hook.key_indicators}' (`default_hooks.checkpoint.save_best`): the "
            'validation had no finite value of it.'
        )
    return hook.best_ckpt_path


def _scalars(metrics: dict[str, object]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if isinstance(value, (int, float))}


if __name__ == '__main__':
    end_with_standard_input()
    train_and_test(Path(sys.argv[1]), *sys.argv[2:])
