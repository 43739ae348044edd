"""A model in a loop of one's own, with its guides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from mmcggm.balancers import Change
from mmcggm.guided import Task
from mmcggm.guided.capture import changed
from mmcggm.guided.encoder_paths import ModalityEncoder
from mmcggm.guided.heads import Heads
from mmcggm.guided.teachers import Teachers

from .forgotten import GUIDES, Guides
from .loop_pass import LoopPass


class LoopGuided:
    """What a pass asks of a model whose loss the loop computes, see ``guided_pass.Guided``.

    Args:
        model: The model; its guides are its child.
        encoders: Of its modalities.
        heads: Of the model.
        task: That of the guides.
        only: The one modality that reaches fusion, in and outside of passes that are watched, or None.
    """

    present: str | None = None  # a loop's batches don't say what is there

    def __init__(
        self,
        model: nn.Module,
        encoders: Sequence[ModalityEncoder],
        heads: Heads,
        task: Task,
        only: str | None,
    ) -> None:
        self.model: Any = model
        self.encoders = encoders
        self.heads = heads
        self.task = task
        self.only = only
        self.teachers = Teachers({}, encoders)
        self.fuses_affinely: bool | None = None
        self.reaches: dict[str, bool] = {}
        self.reported_missing: set[str] = set()
        self._masking = ExitStack()
        self._mask()

    def __deepcopy__(self, memo: dict) -> LoopGuided:
        with self._unmasked():
            model = deepcopy(self.model, memo)
        return LoopGuided(model, self.encoders, self.heads, self.task, self.only)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of all that the method sees."""
        return tuple(encoder.modality for encoder in self.encoders)

    @property
    def guides(self) -> Guides:
        """The guides, by modality."""
        return getattr(self.model, GUIDES)

    def fixed_changes(self) -> dict[str, Change]:
        """Return what is done to representations in every pass, by modality: what ``only`` asks for."""
        others = [] if self.only is None else [name for name in self.modalities if name != self.only]
        return dict.fromkeys(others, torch.zeros_like)

    @contextmanager
    def watch(self, changes: Mapping[int, Change] | None = None, asker: str = 'This') -> Iterator[LoopPass]:
        """Watch the one forward pass of the model inside the context, in any mode.

        Args:
            changes: By index of the modality, what is done to its representation on the way into fusion.
            asker: Name of the method that will ask, for messages.
        """
        seen = LoopPass(self, asker)
        with self._unmasked(), seen.watching({**seen.by_name(changes or {}), **self.fixed_changes()}):
            yield seen

    def train(self, mode: bool = True) -> None:
        """Set training or evaluation mode."""
        self.model.train(mode)

    def eval(self) -> None:
        """Set evaluation mode."""
        self.train(False)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights of model and guides."""
        return self.model.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.model.load_state_dict(state)

    def remove(self) -> nn.Module:
        """Return the model as it was, without guides."""
        self._masking.close()
        delattr(self.model, GUIDES)
        return self.model

    def _mask(self) -> None:
        """Let only what ``only`` names reach fusion, until the stack is closed."""
        self._masking.enter_context(changed(self.model, self.encoders, self.fixed_changes()))

    @contextmanager
    def _unmasked(self) -> Iterator[None]:
        self._masking.close()
        try:
            yield
        finally:
            self._mask()
