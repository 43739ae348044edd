"""A test of several checkpoints that segment together."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmcggm.guided.ensemble import set_ensemble
from mmcggm.registry import HOOKS
from mmcggm.utils.checkpoints import checkpoints_are_trusted


@HOOKS.register_module()
class EnsembleHook(Hook):
    """Lets the model predict the mean of the probabilities of several checkpoints, in a test.

    Args:
        checkpoints: Their paths.

    Raises:
        FileNotFoundError: Before a test, if a checkpoint is not there.
        ValueError: Before a test, if a checkpoint does not fit, or the model does not segment volumes.
    """

    def __init__(self, checkpoints: Sequence[str]) -> None:
        self.checkpoints = tuple(checkpoints)

    def before_test(self, runner: Runner) -> None:
        """Read the checkpoints."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        set_ensemble(model, self.checkpoints, trust=checkpoints_are_trusted())
