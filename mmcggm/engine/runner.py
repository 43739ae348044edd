"""The runner of trainings and tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.runner import Runner

from mmcggm.registry import RUNNERS


@RUNNERS.register_module()
class BalancedRunner(Runner):
    """MMEngine's ``Runner``, to which a checkpoint is data: nothing that it holds is run."""

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
