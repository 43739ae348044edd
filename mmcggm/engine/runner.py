"""The runners of trainings and tests."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import BaseLoop, CheckpointLoader, FlexibleRunner, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmcggm.guided.weights import WRAPPER, load_weights, weights_for
from mmcggm.registry import RUNNERS
from mmcggm.utils.checkpoints import CheckpointError

from .balanced_type import balances
from .batch_checks import check_batches
from .checkpoint_files import is_local, newest_checkpoint, writing_checkpoint
from .hooks import BalancingHook
from .inherited_settings import guided_settings
from .loops import EpochBasedTrainLoop
from .optim_wrapper import unwrapped
from .resumable_data import end_workers, resumable
from .saved_config import save_config
from .training_state import check_parameter_order, check_training_state, kept_settings

# What MMEngine says in each training although nothing is wrong.
HARMLESS_LINES = (
    '`resume_param_scheduler` is True but `self.param_schedulers` is None',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    '`save_param_scheduler` is True but `self.param_schedulers` is None',  # there is none to save
)


class _InterruptibleMixin:
    """What a runner does so that a training can be interrupted anywhere and goes on as if it had not been.

    Its loops go on at any iteration, its data is drawn by place, and without a named checkpoint it resumes
    from the newest that is whole. And no batch is left out in silence.
    """

    _TRAIN_LOOPS = ('EpochBasedTrainLoop', 'IterBasedTrainLoop')

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop; MMEngine's own two are replaced by those of this package.

        Raises:
            ValueError: If there is no batch to train on, or an epoch never ends.
        """
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
        check_batches(built.dataloader, 'train_dataloader', isinstance(built, EpochBasedTrainLoop))
        built.dataloader = resumable(built.dataloader, self.seed)  # type: ignore[attr-defined]
        return built

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop, of a loader that ends."""
        built = super().build_val_loop(loop)  # type: ignore[misc]
        check_batches(built.dataloader, 'val_dataloader')
        return built

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop, of a loader that ends."""
        built = super().build_test_loop(loop)  # type: ignore[misc]
        check_batches(built.dataloader, 'test_dataloader')
        return built

    def register_default_hooks(self, hooks: dict[str, Hook | dict] | None = None) -> None:
        """Register MMEngine's hooks, and those that every training and test has here."""
        runner: Any = self
        runner.logger.addFilter(_is_news)
        super().register_default_hooks(hooks)  # type: ignore[misc]
        runner.register_hook(dict(type='mmcggm.NonFiniteGradientHook'))
        runner.register_hook(dict(type='mmcggm.TumourCountHook'))
        runner.register_hook(dict(type='mmcggm.SavedConfigHook'))

    @master_only
    def dump_config(self, replace: bool = False) -> None:
        """Save the config in the ``work_dir``, under the name of its file.

        MMEngine asks for it whenever a runner is built, also for a test.

        Args:
            replace: Whether to replace a copy that is there.
        """
        runner: Any = self
        path = Path(runner.work_dir, Path(runner.cfg.filename or f'{runner.timestamp}.py').name)
        if replace or not path.exists():
            save_config(runner.cfg, path)

    def train(self) -> nn.Module:
        """Train; a config that names a balancer needs no constructor, no hook, and no type for it."""
        runner: Any = self
        runner.optim_wrapper = guided_settings(runner.optim_wrapper, runner.model)
        if balances(runner.optim_wrapper) and not any(isinstance(h, BalancingHook) for h in runner.hooks):
            runner.register_hook(BalancingHook())
        try:
            return super().train()  # type: ignore[misc]
        finally:
            for loop in (runner._train_loop, runner._val_loop):
                if isinstance(loop, BaseLoop):
                    end_workers(loop.dataloader)

    @classmethod
    def build_dataloader(cls, dataloader: DataLoader | dict, *args: Any, **kwargs: Any) -> DataLoader:
        """Build a data loader; one whose workers persist draws no seed from the training's generator.

        It would do so once in a training, and once more whenever that is resumed. Where there are no workers,
        none persist.

        Raises:
            ValueError: If the batches have no size.
        """
        if isinstance(dataloader, Mapping):
            size = dataloader.get('batch_size', 1)
            if 'batch_sampler' not in dataloader and (not isinstance(size, int) or size < 1):
                raise ValueError(
                    f'`batch_size` of a data loader must be a whole number from 1 on, got {size!r}.'
                )
            if not dataloader.get('num_workers'):
                dataloader = {**dataloader, 'persistent_workers': False}
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
        earlier = sorted(path.name for path in Path(runner.work_dir).glob('*.pth'))
        begins = isinstance(runner._train_loop, BaseLoop) and runner.iter == 0  # and no test after it
        if earlier and begins and not runner._resume:
            runner.logger.warning(
                f"'{runner.work_dir}' holds checkpoints of an earlier training ({', '.join(earlier[:4])}). "
                'This one begins anew and replaces those of the same names: go on with `--resume`, or take '
                'another `--work-dir`.'
            )
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
            runner.logger.warning(f'Resuming passes over a checkpoint. {reason}')
        if path is not None:
            runner.logger.info(f'Resuming from {path}, the newest whole checkpoint.')
            return str(path)
        if passed_over:
            raise ValueError(
                f"No checkpoint in '{runner.work_dir}' can be resumed from. {' '.join(passed_over)} Name "
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
    """MMEngine's ``Runner``, to which a checkpoint is data, and whose weights must fit.

    Nothing in a checkpoint is run, and weights that are missing or left over are an error. A training from
    ``load_from`` whose config has ``strict_load = False`` takes those that fit. Trainings can be interrupted
    anywhere.
    """

    _is_resuming = False

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

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool | None = None,
        revise_keys: Collection = (WRAPPER,),
    ) -> dict[str, Any]:
        """Load weights, and what hooks take from a checkpoint.

        Args:
            filename: The file, or a name that MMEngine knows, such as ``torchvision://resnet50``.
            map_location: As of ``torch.load``.
            strict: Whether all weights must fit the model. Default: yes, but in a training from ``load_from``
                what ``strict_load`` in the config says.
            revise_keys: Patterns in names of weights, each with what takes its place.

        Returns:
            What the checkpoint holds.

        Raises:
            FileNotFoundError: If there is no such file.
            CheckpointError: If it is more than data, damaged, or does not fit.
        """
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location)
        if self._is_resuming:
            check_training_state(checkpoint, filename, self)
            for sentence in kept_settings(checkpoint, self):
                self.logger.warning(
                    f'{sentence}: the checkpoint decides. To change it, begin a '
                    'training from the weights (`load_from`).'
                )
        model = unwrapped(self.model)
        model = model.module if isinstance(model, BaseTTAModel) else model
        checkpoint['state_dict'] = weights_for(model, checkpoint, filename, revise_keys)
        if self._is_resuming:
            check_parameter_order(model, checkpoint['state_dict'], filename)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        if strict is None:
            strict = self._is_resuming or not self._is_training or self.cfg.get('strict_load', True)
        load_weights(model, checkpoint, filename, strict)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable = 'default',
    ) -> None:
        """Go on with the training that a checkpoint is of, see MMEngine's ``Runner.resume``.

        Raises:
            FileNotFoundError: If there is no such file.
            CheckpointError: If it is more than data, damaged, or not of this training.
        """
        self._is_resuming = True
        try:
            super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
            # Epochs are counted, where a loop does, since those of another data set have other lengths.
            in_epochs = isinstance(self.train_loop, EpochBasedTrainLoop)
            done, all_of_them = (
                (self.epoch, f'{self.max_epochs} epochs')
                if in_epochs
                else (self.iter, f'{self.max_iters} iterations')
            )
            if done >= (self.max_epochs if in_epochs else self.max_iters):
                self.logger.warning(
                    f"'{filename}' has all {all_of_them} behind it, so nothing is left to train. For more, "
                    f'set a larger `train_cfg.{"max_epochs" if in_epochs else "max_iters"}`.'
                )
        except (CheckpointError, OSError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # entries of a wrong kind, deep in it, raise whatever they lead to
            reason = str(error) if isinstance(error, ValueError) else f'{type(error).__name__}: {error}'
            raise CheckpointError(f"'{filename}' can't be resumed from. {reason}") from error
        finally:
            self._is_resuming = False

    @property
    def _is_training(self) -> bool:
        return isinstance(self._train_loop, BaseLoop)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(HARMLESS_LINES)
