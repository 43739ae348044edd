"""The runner of trainings and tests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.runner import BaseLoop, FlexibleRunner, Runner
from torch.utils.data import DataLoader

from mmcggm.registry import RUNNERS

from .checkpoint_files import is_local, newest_checkpoint, writing_checkpoint
from .resumable_data import resumable


class _InterruptibleMixin:
    """What a runner does so that a training can be interrupted anywhere and goes on as if it had not been.

    Its loops go on at any iteration, its data is drawn by place, and without a named checkpoint it resumes
    from the newest that is whole.
    """

    _TRAIN_LOOPS = ('EpochBasedTrainLoop', 'IterBasedTrainLoop')

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop; MMEngine's own two are replaced by those of this package."""
        if isinstance(loop, BaseLoop):
            return loop
        loop = copy.deepcopy(loop)
        if 'by_epoch' in loop and 'type' not in loop:
            loop['type'] = self._TRAIN_LOOPS[0 if loop.pop('by_epoch') else 1]
        kind = loop.get('type')
        name = kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', '')
        if name in self._TRAIN_LOOPS:
            loop['type'] = f'mmcggm.{name}'
        built = super().build_train_loop(loop)  # type: ignore[misc]
        built.dataloader = resumable(built.dataloader, self.seed)  # type: ignore[attr-defined]
        return built

    @classmethod
    def build_dataloader(cls, dataloader: DataLoader | dict, *args: Any, **kwargs: Any) -> DataLoader:
        """Build a data loader; one whose workers persist draws no seed from the training's generator.

        It would do so once in a training, and once more whenever that is resumed.
        """
        built = super().build_dataloader(dataloader, *args, **kwargs)  # type: ignore[misc]
        if built.persistent_workers and built.generator is None:
            built.generator = torch.Generator()
        return built

    def load_or_resume(self) -> None:
        """Load the weights or the training that were asked for; of trainings the newest if none is named.

        Raises:
            ValueError: If no checkpoint in the ``work_dir`` is whole, though there are some.
        """
        runner: Any = self
        if runner._resume is True and runner._load_from is None and not runner._has_loaded:
            runner._load_from = self._newest_checkpoint()
            runner._resume = runner._load_from is not None
        super().load_or_resume()  # type: ignore[misc]

    def _newest_checkpoint(self) -> str | None:
        """Return the newest whole checkpoint, which the main process looks for; None if there are none."""
        runner: Any = self
        found: list[Any] = [newest_checkpoint(runner.work_dir) if is_main_process() else None]
        broadcast_object_list(found)
        path, passed_over = found[0]
        for reason in passed_over:
            runner.logger.warning(f'Resuming passes over {reason}.')
        if path is not None:
            runner.logger.info(f'Resuming from {path}, the newest whole checkpoint.')
            return str(path)
        if passed_over:
            raise ValueError(
                f"No checkpoint in '{runner.work_dir}' can be resumed from: {'; '.join(passed_over)}. Name "
                'another with `--resume PATH`, or begin anew without `--resume` or in another `--work-dir`.'
            )
        runner.logger.warning(
            f"There is no checkpoint in '{runner.work_dir}' to resume from: the training begins at its start."
        )
        return None


@RUNNERS.register_module(name='FlexibleRunner')
class BalancedFlexibleRunner(_InterruptibleMixin, FlexibleRunner):
    """MMEngine's ``FlexibleRunner``, which strategies need, with loops that go on where they were."""


@RUNNERS.register_module()
class BalancedRunner(_InterruptibleMixin, Runner):
    """MMEngine's ``Runner``, to which a checkpoint is data: nothing that it holds is run."""

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint as MMEngine does, but whole or not at all.

        Raises:
            OSError: If it can't be written.
        """
        if not is_main_process() or not is_local(out_dir, kwargs.get('backend_args')):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with writing_checkpoint(Path(out_dir, filename)) as temporary:
            super().save_checkpoint(out_dir, temporary.name, *args, **kwargs)

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return super().load_checkpoint(filename, *args, **kwargs)

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable = 'default',
    ) -> None:
        super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
