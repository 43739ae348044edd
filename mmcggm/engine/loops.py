"""Training loops that go on where they were interrupted, at any iteration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader

from mmcggm.registry import LOOPS

from .place import pass_length, restore_process, restore_seeds
from .resumable_data import begin_pass, placed_sampler, skip_batches


def check_batches(loader: DataLoader, key: str, in_passes: bool = True) -> None:
    """Raise a ValueError unless a loader yields a batch, and ends if passes through it are counted.

    Args:
        loader: The loader.
        key: That of its config.
        in_passes: Whether what uses it waits for its end.
    """
    sampler = placed_sampler(loader)
    if in_passes and isinstance(loader.sampler if sampler is None else sampler.inner, InfiniteSampler):
        raise ValueError(
            f'`{key}.sampler` is an InfiniteSampler, whose samples never end, so that this loop would wait '
            "for ever: take dict(type='DefaultSampler', shuffle=True), or an IterBasedTrainLoop."
        )
    try:
        batches, samples = len(loader), len(loader.dataset)  # type: ignore[arg-type]
    except TypeError:  # an iterable, which has no length
        return
    if not batches:
        processes = f' for each of {get_world_size()} processes' if get_world_size() > 1 else ''
        reason = (
            f'`batch_size` is {loader.batch_size} and `drop_last` leaves out what fills no batch'
            if samples and loader.drop_last
            else 'its data set is empty'
        )
        raise ValueError(
            f'`{key}` yields no batch of its {samples} samples{processes}, since {reason}: nothing would be '
            'trained or measured. Take smaller batches, `drop_last=False`, or more samples.'
        )


class _ResumedLoop:
    """What the loops share.

    Attributes:
        place: Where the training stood in the checkpoint that it goes on from, see
            :func:`~mmcggm.engine.place.take_place`; None before it is loaded, or if it holds none.
        resumed: Whether the training goes on from a checkpoint.
    """

    runner: Any
    place: dict[str, Any] | None = None
    resumed = False

    def _check_place(self) -> None:
        """Take up the place in the data, and say what will not be as it would have been."""
        if not self.resumed:
            return
        if self.place is None:
            self._warn('The checkpoint does not say where the training stood')
            return
        restore_seeds(self.runner, self.place)
        if not self._same_processes():
            before = len(self.place['processes'])
            self._warn(f'The checkpoint is of {before} processes, these are {get_world_size()}')
        elif not self._placed():
            self._warn('The training set is iterable, or its loader one of its own class')

    def _same_processes(self) -> bool:
        return self.place is not None and len(self.place['processes']) == get_world_size()

    def _placed(self) -> bool:
        return placed_sampler(self.runner.train_loop.dataloader) is not None

    def _warn(self, why: str) -> None:
        self.runner.logger.warning(
            f'{why}: what is drawn at random differs from a training that was not interrupted.'
        )

    def _restore_process(self) -> None:
        """Restore the generators and an unfinished update, right before what follows the checkpoint."""
        if self.place is not None:
            restore_process(self.runner, self.place)

    def _lacks_validation(self) -> bool:
        """Whether a validation that was due at the checkpoint came after it."""
        return self.resumed and not (self.place or {}).get('validated', False)


@LOOPS.register_module()
class EpochBasedTrainLoop(_ResumedLoop, MMEngineEpochBasedTrainLoop):
    """MMEngine's loop, which also goes on inside an epoch.

    A checkpoint of an epoch is saved before the validation that follows it: a resumed training begins with
    that one, if it is due, so that schedules, the best checkpoint and balancers see what they would have.
    """

    inside = 0  # batches of the epoch that were trained, the one that is being trained among them

    def run(self) -> nn.Module:
        """Train.

        Raises:
            ValueError: If the loader yields no batch, or never ends.
        """
        check_batches(self.dataloader, 'train_dataloader')
        self.runner.call_hook('before_train')
        self._check_place()
        self._begin = 0
        if self.resumed:
            self._go_on()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train for an epoch, or for the rest of the one that was interrupted."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        begin, self._begin = self._begin, 0
        begin_pass(self.dataloader, self._epoch)
        if begin:
            skip_batches(self.dataloader, begin, lambda: None)
        batches = iter(self.dataloader)  # which draws a seed
        if begin:
            self._restore_process()
        for index, batch in enumerate(batches, begin):
            self.inside = index + 1
            self.run_iter(index, batch)
        self.inside = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _go_on(self) -> None:
        """Do what came between the checkpoint and the next epoch, or find the place inside an epoch."""
        place, length = self.place, pass_length(self.runner)
        trained = None if place is None else place['inside']
        if trained is None and length:
            trained = self._iter - self._epoch * length
        if not trained:
            self._restore_process()
            if self._lacks_validation():
                self._validate()
        elif place is not None and place['batches'] == length and self._same_processes() and self._placed():
            self._begin = trained
        else:
            self.runner.logger.warning(
                f'Epoch {self._epoch + 1}, which was interrupted, begins anew: the checkpoint does not say, '
                'for this data set and number of processes, which of its batches were trained.'
            )

    def _validate(self) -> None:
        self._decide_current_val_interval()
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        if self.runner.val_loop is not None and self._epoch >= self.val_begin and due:
            self.runner.val_loop.run()


@LOOPS.register_module()
class IterBasedTrainLoop(_ResumedLoop, MMEngineIterBasedTrainLoop):
    """MMEngine's loop, which finds its place in the data without loading what was trained before.

    A checkpoint is saved before the validation that follows it: a resumed training begins with that one, if
    it is due.
    """

    def run(self) -> nn.Module:
        """Train.

        Raises:
            ValueError: If the loader yields no batch.
        """
        check_batches(self.dataloader, 'train_dataloader', in_passes=False)
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')  # the whole training is one, for hooks
        self._check_place()
        self.dataloader_iterator = EndlessBatches(self.dataloader)
        skips = self._iter > 0 and not getattr(self, 'fast_forward_on_resume', False)
        if skips and not self.dataloader_iterator.skip(self._iter):
            self.runner.logger.warning('The data begins anew, as only reading could bring it to its place.')
        self.dataloader_iterator.begin()
        self._restore_process()
        if self._lacks_validation():
            self._validate()
        try:
            while self._iter < self._max_iters and not self.stop_training:
                self.runner.model.train()
                self.run_iter(next(self.dataloader_iterator))
                self._validate()
        finally:
            self.dataloader_iterator.end()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validate(self) -> None:
        self._decide_current_val_interval()
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        if self.runner.val_loop is not None and self._iter >= self.val_begin and due:
            self.runner.val_loop.run()


class EndlessBatches:
    """The batches of a loader, pass after pass."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._passes = 0
        self._batches: Iterator | None = None

    def __iter__(self) -> EndlessBatches:
        return self

    def __next__(self) -> Any:
        if self._batches is None:
            self.begin()
        for batch in self._batches:  # type: ignore[union-attr]
            return batch
        self._next_pass()
        self.begin()
        return next(self._batches)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Begin a pass, for which a loader draws a seed and workers start."""
        self._batches = iter(self._loader)

    def end(self) -> None:
        """Leave the pass, whose workers end with it unless the loader keeps them."""
        self._batches = None

    def skip(self, count: int) -> bool:
        """Begin after ``count`` batches, if that is possible without loading them."""
        return skip_batches(self._loader, count, self._next_pass)

    def _next_pass(self) -> None:
        self._passes += 1
        begin_pass(self._loader, self._passes)
        for sampler in (self._loader.sampler, getattr(self._loader.batch_sampler, 'sampler', None)):
            if sampler is not None and hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(self._passes)
                break
