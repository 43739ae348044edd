"""The control of what guides say: guides of the same kind, on encoders that do not learn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy, deepcopy
from typing import Any, Protocol

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn
from torch.optim import Optimizer

from mmcggm.utils.generators import kept_generators

from .guided_pass import GuidedPass

PARAMETERS = ('params', 'param_names')  # entries of an optimizer's group that are no settings


class Watched(Protocol):
    """What is asked of a model with guides whose passes can be watched, such as a :class:`GuidedModel`."""

    model: Any

    @property
    def guides(self) -> Any: ...  # a module

    def watch(self) -> AbstractContextManager[GuidedPass]: ...

    def train(self) -> Any: ...

    def eval(self) -> Any: ...

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Mapping[str, Any], /) -> Any: ...


class UntrainedGuides:
    """A copy of a guided model whose guides train, and whose inner model keeps the weights it has.

    What a guide scores tells what its encoder has learnt only by how far it is above the score on an encoder
    that has learnt nothing: from ready-made features a guide reads as much through random weights. The copy
    sees the batches of the training in the mode of the training (with dropout, and batch statistics that it
    gathers for itself), in the precision of its parameters. Its guides begin as the model's, and take the
    steps that the model's optimizers would take, with their settings of the moment. Their gradients are not
    clipped; entries that are not finite count as zero.

    It is not a module, and what it draws at random is drawn again by the training, which does not notice it.

    Args:
        guided: The model as it is before training: a :class:`GuidedModel`, or the like of a loop.
        optimizers: Those that train its guides; none, to score alone.
    """

    def __init__(self, guided: Watched, optimizers: Sequence[Optimizer] = ()) -> None:
        self._guided = deepcopy(guided)
        self._guided.model.requires_grad_(False)
        own = dict(zip(guided.guides.parameters(), self._guided.guides.parameters(), strict=True))
        for parameter, copied in own.items():  # guides may be in the model
            copied.requires_grad_(parameter.requires_grad)
        self._optimizers = [(optimizer, _follower(optimizer, own)) for optimizer in optimizers]

    def accumulate(
        self,
        args: tuple,
        kwargs: Mapping[str, Any],
        scale: float | Tensor = 1.0,
        added: Mapping[str, Any] | None = None,
    ) -> None:
        """Add the gradient of the guides' losses on a batch, the mean over processes.

        Args:
            args: What the guided model was called with.
            kwargs: The same, by name.
            scale: By what the losses are multiplied.
            added: What the task finds in the batch beside it.
        """
        self._guided.train()
        with kept_generators():
            losses = self._pass(args, kwargs, added).guide_losses
            (scale * torch.stack([loss.float() for loss in losses]).sum()).backward()
        for parameter in self._parameters():
            # What earlier batches of the update left is the same everywhere, so the mean keeps it.
            if parameter.grad is not None:
                all_reduce(parameter.grad, 'mean')

    def step(self) -> None:
        """Update the guides, and forget the gradients."""
        for parameter in self._parameters():
            if parameter.grad is not None:
                torch.nan_to_num_(parameter.grad, nan=0.0, posinf=0.0, neginf=0.0)
        for leader, follower in self._optimizers:
            # Groups that were added since, as of layers that thaw, have no guides.
            for group, theirs in zip(follower.param_groups, leader.param_groups, strict=False):
                group.update({name: value for name, value in theirs.items() if name not in PARAMETERS})
            follower.step()
            follower.zero_grad()

    def forget(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters():
            parameter.grad = None

    @torch.no_grad()
    def counts(
        self, args: tuple, kwargs: Mapping[str, Any], added: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Return the scores of the guides on a batch as counts, see ``GuidedPass.counts``."""
        self._guided.eval()
        with kept_generators():
            return self._pass(args, kwargs, added).counts()

    def state_dict(self) -> dict[str, Any]:
        """Return all that a training needs to go on, and the weights to score with."""
        return dict(
            weights=self._guided.state_dict(),
            optimizers=[follower.state_dict() for _, follower in self._optimizers],
            gradients=[parameter.grad for parameter in self._parameters()],
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned.

        Raises:
            RuntimeError: If it is of another model.
        """
        self._guided.load_state_dict(state['weights'])
        if not self._optimizers:
            return
        for (_, follower), found in zip(self._optimizers, state['optimizers'], strict=True):
            follower.load_state_dict(found)
        for parameter, grad in zip(self._parameters(), state['gradients'], strict=True):
            parameter.grad = None if grad is None else grad.to(parameter)

    def _pass(self, args: tuple, kwargs: Mapping[str, Any], added: Mapping[str, Any] | None) -> GuidedPass:
        with torch.no_grad(), self._guided.watch() as seen:
            self._guided.model(*args, **kwargs)
        seen.batch |= added or {}
        return seen

    def _parameters(self) -> list[nn.Parameter]:
        return list(self._guided.guides.parameters())


def _follower(leader: Optimizer, own: Mapping[nn.Parameter, nn.Parameter]) -> Optimizer:
    """Return an optimizer like ``leader``, at its start, of the parameters that ``own`` has for its own."""
    follower = copy(leader)
    follower.state = defaultdict(dict)
    follower.param_groups = [
        {
            **{name: value for name, value in group.items() if name not in PARAMETERS},
            'params': [own[parameter] for parameter in group['params'] if parameter in own],
        }
        for group in leader.param_groups
    ]
    return follower
