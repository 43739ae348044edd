"""How far a slow validation or test is."""

from __future__ import annotations

import time
from collections.abc import Sized
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcggm.registry import HOOKS


@HOOKS.register_module()
class EvaluationProgressHook(Hook):
    """Logs the place of a validation or a test when nothing has told it for a while.

    MMEngine's ``LoggerHook`` counts iterations. Where each is a whole volume, ten of them take minutes, in
    which a test looks as if it hung.

    Args:
        seconds: Between two lines.
    """

    priority = 'BELOW_NORMAL'  # where the LoggerHook is

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds

    def before_val_epoch(self, runner: Runner) -> None:
        self._begin()

    def before_test_epoch(self, runner: Runner) -> None:
        self._begin()

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self._tell(runner, 'val', batch_idx + 1, runner.val_dataloader)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self._tell(runner, 'test', batch_idx + 1, runner.test_dataloader)

    def _begin(self) -> None:
        self._start = self._told = time.monotonic()

    def _tell(self, runner: Runner, mode: str, done: int, loader: Any) -> None:
        now = time.monotonic()
        if now - self._told < self.seconds:
            return
        self._told = now
        # As the LoggerHook's lines begin, without what it would ask of the other processes.
        unit = 'Epoch' if runner.log_processor.by_epoch else 'Iter'
        of_all = f'/{len(loader)}' if isinstance(loader, Sized) else ''
        runner.logger.info(f'{unit}({mode}) [{done}{of_all}]  after {now - self._start:.0f} s')
