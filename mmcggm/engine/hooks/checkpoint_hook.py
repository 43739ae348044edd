"""Checkpoints that no interruption can lose."""

from __future__ import annotations

import inspect
import logging
import math
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmcggm.engine.checkpoint_files import LAST, is_local
from mmcggm.engine.log_history import as_data, from_data
from mmcggm.engine.place import take_place
from mmcggm.registry import HOOKS
from mmcggm.utils.atomic import remove_stale, replacing
from mmcggm.utils.spelling import did_you_mean


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """MMEngine's ``CheckpointHook``, which deletes an older checkpoint only once the new one is written.

    That holds for those that ``max_keep_ckpts`` counts as for the best one. What it saves says besides where
    the training stands, see :func:`~mmcggm.engine.place.take_place`, and leftovers of a training that was
    killed while it wrote are removed when the next begins.

    It takes the arguments of MMEngine's, and knows of this package's metrics which ``rule`` they need.
    """

    _default_greater_keys = [*MMEngineCheckpointHook._default_greater_keys, 'Dice', 'F1', 'corr']
    _default_less_keys = [*MMEngineCheckpointHook._default_less_keys, 'HD95', 'MAE']

    _place: dict[str, Any] | None = None  # of the checkpoint that is being written, and where it stands
    _validated = False  # whether it is written after a validation
    _until_written: dict[str, str | None] = {}  # the best ones so far

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # MMEngine hands over what it does not know when it saves, after the first epoch.
        if self.args:
            known = inspect.signature(MMEngineCheckpointHook.__init__).parameters
            name = next(iter(self.args))
            raise ValueError(
                f"`default_hooks.checkpoint.{name}`: CheckpointHook has no setting '{name}'."
                f'{did_you_mean(name, known)}'
            )

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if self.max_keep_ckpts > 0:  # those that a kill left over are removed by now
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        if is_main_process() and is_local(self.out_dir, self.backend_args):
            for folder in {runner.work_dir, self.out_dir}:
                remove_stale(folder)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint['message_hub'] = as_data(checkpoint['message_hub'])
        if self._place is not None:  # the best one holds weights alone
            checkpoint['meta'].update(self._stands_at)
            checkpoint['place'] = self._place

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if 'message_hub' in checkpoint:
            checkpoint['message_hub'] = from_data(checkpoint['message_hub'])
        if runner._resume:
            runner.train_loop.resumed = True
            runner.train_loop.place = checkpoint.get('place')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        self._validated = True
        super().after_val_epoch(runner, metrics)
        self._validated = False

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        self._remove_replaced()
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        outdated: list[int] = []
        if self.max_keep_ckpts > 0 and list(self.keep_ckpt_ids)[-1:] != [step]:
            kept = [*self.keep_ckpt_ids, step]
            outdated = kept[: -self.max_keep_ckpts]
            self.keep_ckpt_ids.append(step)  # and the first one drops out
            # With those that will be deleted: should that be prevented, the resumed training does it.
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._stands_at, self._place = dict(meta), take_place(runner, self._validated)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._place = None
        if is_main_process():
            with replacing(Path(runner.work_dir, LAST)) as temporary:
                temporary.write_text(self.last_ckpt, encoding='utf-8')
            for old in outdated:
                self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old)))
        if outdated:
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        wanted = self.key_indicators if self.save_best else ()
        missing = [key for key in wanted if key not in metrics and key != 'auto']
        if missing:
            raise ValueError(
                f"`default_hooks.checkpoint.save_best`: the validation has no metric '{missing[0]}'; it has "
                f'{", ".join(sorted(metrics))}.{did_you_mean(missing[0], metrics)}'
            )
        for key in wanted:
            if isinstance(score := metrics.get(key), float) and math.isnan(score):
                print_log(
                    f"The validation's {key} is not a number, as where no case has what it is of: this "
                    'checkpoint cannot be the best one (`default_hooks.checkpoint.save_best`).',
                    'current',
                    logging.WARNING,
                )
        # MMEngine deletes the best one so far before it writes its successor, so it is not told of it.
        self._until_written = self._best
        self._best = dict.fromkeys(self._best)
        super()._save_best_checkpoint(runner, metrics)
        self._remove_replaced()

    def _remove_replaced(self) -> None:
        """Delete the best checkpoints that have a successor by now; the others are the best ones still."""
        old, self._until_written = self._until_written, {}
        self._best = {key: new or old.get(key) for key, new in self._best.items()}
        for key, path in old.items():
            if path is not None and path != self._best[key] and is_main_process():
                self._remove(path)

    @property
    def _best(self) -> dict[str, str | None]:
        """The best checkpoints by score, without a name if it is one alone."""
        if not self.save_best:
            return {}
        return {'': self.best_ckpt_path} if len(self.key_indicators) == 1 else dict(self.best_ckpt_path_dict)

    @_best.setter
    def _best(self, paths: dict[str, str | None]) -> None:
        if '' in paths:
            self.best_ckpt_path = paths['']
        else:
            self.best_ckpt_path_dict = paths

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # as DeepSpeed writes them
            self.file_backend.rmtree(path)
