"""The copy of the config in the ``work_dir`` is that of a training that has begun."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcggm.registry import HOOKS


@HOOKS.register_module()
class SavedConfigHook(Hook):
    """Replaces the copy of an earlier training once all that is checked before a training has passed.

    A training that is refused, and a test, would otherwise leave a copy with which nothing goes on. Our
    runner adds this hook to every training.
    """

    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        runner.dump_config(replace=True)
