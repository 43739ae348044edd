"""What one pass in a loop of one's own showed."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from mmcggm.guided.guided_pass import Guided, GuidedPass
from mmcggm.structures.nested import describe, map_tensors

from .task_of import TARGET


class LoopPass(GuidedPass):
    """A pass of a model whose loss the loop computes.

    Args:
        guided: The balancing that watches it.
        asker: Name of the method that will ask, for messages.

    Attributes:
        copies_call: Whether to copy what the model is called with.
    """

    changers = 'the method or `only`'

    def __init__(self, guided: Guided, asker: str) -> None:
        super().__init__(guided)
        self._asker = asker
        self.copies_call = False

    @property
    def call(self) -> tuple[tuple, dict[str, Any]]:
        """What the model was called with; a copy if ``copies_call``, since it may write into its batch."""
        return self._arguments

    def keep_arguments(self, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        super().keep_arguments(model, args, kwargs)
        if self.copies_call:
            self._arguments = map_tensors(lambda tensor: tensor.detach().clone(), (args, kwargs))

    def take(self, loss: Tensor) -> None:
        """Take the model's loss, a scalar."""
        if not self.found:
            raise RuntimeError(
                f'No encoder of {self.modalities} was called inside `balanced.watch`. If the model calls '
                'their parts, or their `forward`, name as `representation` a module that it calls.'
            )
        self.report_missing(self.guided.reported_missing)
        self._task_loss = loss
        self.check_reach()
        _ = self.guide_losses  # with their graphs, whoever asks for scores first

    def kept_for_scores(self) -> LoopPass:
        """Return a pass that holds of this one what :meth:`counts` needs: no graphs, no representations."""
        kept = LoopPass(self.guided, self._asker)
        kept.found = dict.fromkeys(self.found)
        own = getattr(self.guided.task, 'target', None) == TARGET
        kept.batch = {TARGET: self.batch[TARGET]} if own else self.batch  # what else a task looks for
        kept._predictions = {modality: p.detach() for modality, p in self._predictions.items()}
        return kept

    def rerun(self, changes: Mapping[int, Any]) -> GuidedPass:
        self._unknown('what the model would predict otherwise')

    def _unknown(self, what: str) -> NoReturn:
        raise ValueError(
            f'{self._asker} needs {what}, which a loop with `mmcggm.balance` and these settings does not '
            "show. Choose another `method`, or train it through MMEngine (the page 'Balance any model' of "
            'the documentation says how).'
        )

    @property
    def _inputs(self) -> dict[str, Any]:
        if '_leaves' not in self.__dict__:
            guides = self.guided.guides
            self._leaves = {
                m: map_tensors(partial(_leaf, guides[m]), value) for m, value in self.found.items()
            }
        return self._leaves


def _leaf(guide: nn.Module, tensor: Tensor) -> Tensor:
    """Return ``tensor`` without its graph; in the precision of its guide, unless it is under autocast."""
    if not tensor.is_floating_point():
        return tensor.detach()
    if not torch.is_autocast_enabled(tensor.device.type):
        kinds = (p.dtype for p in guide.parameters() if p.is_floating_point())
        tensor = tensor.to(next(kinds, torch.promote_types(tensor.dtype, torch.float32)))
    return tensor.detach().requires_grad_(torch.is_grad_enabled())


def loss_of(output: Any) -> Tensor:
    """Return the loss in what a model returned: the scalar itself, or its entry or attribute ``loss``.

    Of a tuple, as transformers' models return, it is the first entry.

    Raises:
        ValueError: If there is none.
    """
    if isinstance(output, Mapping):
        found = output.get('loss')
    elif _is_plain_tuple(output):
        found = output[0] if output else None
    else:
        found = output if isinstance(output, Tensor) else getattr(output, 'loss', None)
    if not isinstance(found, Tensor) or found.numel() != 1:
        raise ValueError(
            '`balanced.loss` takes the loss of the model, a scalar, or what the model returns with its loss '
            f"at 'loss' or first in a tuple, got {describe(output)}."
        )
    return found.reshape(())


def with_loss(output: Any, loss: Tensor) -> Any:
    """Return ``output`` with ``loss`` in the place where :func:`loss_of` finds it."""
    if isinstance(output, Tensor):
        return loss
    if isinstance(output, Mapping):
        changed = copy(output)
        changed['loss'] = loss  # type: ignore[index]
        return changed
    if _is_plain_tuple(output):
        return (loss, *output[1:])
    changed = copy(output)
    changed.loss = loss
    return changed


def _is_plain_tuple(output: Any) -> bool:
    return isinstance(output, tuple) and not hasattr(output, '_fields')
