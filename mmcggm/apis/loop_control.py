"""The control of what guides say, in a loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim import LBFGS, Optimizer

from mmcggm.balancers.sharding import is_sharded
from mmcggm.guided import UntrainedGuides

from .loop_guided import LoopGuided
from .loop_pass import LoopPass
from .task_of import TARGET


@dataclass
class _Waiting:
    """A batch whose backward pass may come, and by what its loss is multiplied there."""

    call: tuple[tuple, dict[str, Any]]
    target: Any
    share: float | Tensor
    loss_scale: Tensor | None
    factor: Tensor | None = None  # None until backward

    def reached(self, grad: Tensor) -> None:
        """Take the factor on the loss; a hook of the loss."""
        self.factor = grad if self.loss_scale is None else grad / self.loss_scale


class LoopControl:
    """Trains :class:`~mmcggm.guided.UntrainedGuides` beside a loop, which does not notice it.

    Args:
        guided: The model as it is before training.
        optimizer: That of the model and its guides.

    Raises:
        ValueError: If the model or the optimizer can't be followed.
    """

    def __init__(self, guided: LoopGuided, optimizer: Optimizer) -> None:
        if any(map(is_sharded, guided.model.parameters())) or isinstance(optimizer, LBFGS):
            raise ValueError(
                '`control=True` copies the model as it is before training and takes steps like those of its '
                'optimizer, which it can neither with sharded parameters (FSDP) nor with LBFGS: leave it out.'
            )
        self._untrained = UntrainedGuides(guided, [optimizer])
        self._waiting: _Waiting | None = None

    def see(self, seen: LoopPass, total: Tensor, share: float | Tensor) -> None:
        """Keep the batch of a pass until backward has passed through its whole loss."""
        self._waiting = _Waiting(seen.call, seen.batch[TARGET], share, seen.loss_scale)
        total.register_hook(self._waiting.reached)

    def accumulate(self) -> None:
        """Add the gradient of the batch that was kept, if there is one that backward has reached."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.factor is not None:
            scale = waiting.share * waiting.factor
            self._untrained.accumulate(*waiting.call, scale=scale, added={TARGET: waiting.target})

    def step(self) -> None:
        """Take the step that the optimizer takes."""
        self.accumulate()
        self._untrained.step()

    def forget(self) -> None:
        """Leave no trace of an update that is not stepped."""
        self._waiting = None
        self._untrained.forget()

    def counts(self, seen: LoopPass) -> Tensor:
        """Return the scores on the batch of a pass as counts, see ``Pass.counts``."""
        return self._untrained.counts(*seen.call, added={TARGET: seen.batch[TARGET]})

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed training needs."""
        self.accumulate()
        return self._untrained.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._waiting = None
        self._untrained.load_state_dict(state)
