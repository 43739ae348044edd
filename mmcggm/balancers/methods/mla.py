"""Alternating unimodal adaptation (Zhang et al., CVPR 2024, arXiv 2311.10707)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer, GuidedStep, over_processes, present
from mmcggm.balancers.overflow import in_effect
from mmcggm.balancers.pass_record import Change
from mmcggm.balancers.turn_taking import alone, let_rest
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MLA(Balancer):
    """Lets modalities take turns: each update is for one of them alone, through a head that all share.

    So that a turn doesn't undo what the head has learnt from the others, the gradient of its weight ``W``
    is projected, from the second turn on, away from what it has seen. With the mean ``h`` over the batch
    of what enters the head:

        ``∇W ← ∇W P``,  then  ``P ← P - P h hᵀ P / (α + hᵀ P h)``,  ``P ← P / ‖P‖``

    from ``P = 1`` on: recursive least squares, Zeng et al. (Nature Machine Intelligence 2019).

    The paper's model is one linear head on each of ``M`` representations, of equal size, and the
    prediction a weighted mean of the ``M``. Here the head is all that follows the encoders, of any
    fusion: in a turn, the other representations are zero and this one is multiplied by ``M``. So where
    fusion adds up (``SumFusion``, ``ConcatFusion``), the prediction from all modalities is exactly the
    mean of those from one, the authors' fixed fusion. A fusion that isn't additive meets modalities
    together in prediction for the first time: give the model another. The paper's weights by
    entropy, in prediction, are left out. For any task, though published for classification.

    The authors' code takes M steps on each batch, one a modality; here each update is a turn, so ``M``
    times the epochs make as many steps of an encoder. There P leaves out the first ``h``, has already taken
    up the turn's own when it projects (the paper has the previous modality's), divides entry ``(i, j)`` by
    ``α + (P h)_i h_j`` instead of the scalar, and α falls from 0.1 to 0.01 in each epoch. (As released, it
    looks for a parameter ``module.weight`` in a head that names it ``weight``, and projects nothing.)
    The norm of P, which scales ``∇W`` by up to ``1 / √C``, is that of the code.

    Args:
        alpha: α, positive; the smaller, the more completely ``h`` is projected out.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If ``alpha`` is not positive.
    """

    def __init__(self, alpha: float = 0.03, process_group: dist.ProcessGroup | None = None) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f'MLA needs alpha > 0, got {alpha}.')
        self.alpha = alpha
        self.process_group = process_group
        self._updates = 0
        self._projection: Tensor | None = None
        # Of the update under way:
        self._weight: nn.Parameter | None = None
        self._inputs: Tensor | None = None  # sum and number of what entered the head, (C + 1,)

    @property
    def turn(self) -> int:
        """Index of the modality whose update this is."""
        return self._updates % len(self.modalities)

    def changes(self) -> Mapping[int, Change]:
        """Return what leaves the modality whose turn it is alone."""
        count = len(self.modalities)
        return alone(self.turn, count, scale=count) if self.active else {}

    def adjust_loss(self, step: GuidedStep) -> None:
        """Add up what entered the head over the micro-batches of the update.

        Raises:
            ValueError: If the head's last layer is neither linear nor a convolution of width 1.
        """
        if not self.active:
            return
        self._weight = step.head_weight
        if self._weight.shape[2:].numel() != 1:
            raise ValueError(
                'MLA needs a head whose last layer is Linear or a convolution of width 1, but `head` has a '
                f'weight of shape {tuple(self._weight.shape)}.'
            )
        entered = present(step.guided_pass, self).head_input().detach().float()
        channels = entered.movedim(1, -1) if self._weight.ndim > 2 else entered
        channels = channels.flatten(0, -2)
        inputs = torch.cat([channels.sum(0), channels.new_full((1,), len(channels))])
        inputs = over_processes(inputs, self.process_group)
        self._inputs = inputs if self._inputs is None else self._inputs + inputs

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        """Project the head's gradient, and let the others' encoders rest."""
        inputs, self._inputs = self._inputs, None
        if not self.active:
            return
        old = (
            torch.eye(len(inputs) - 1).to(inputs) if self._projection is None else self._projection.to(inputs)
        )
        new = absorbed(old, inputs[:-1] / inputs[-1], self.alpha)
        ok = in_effect(new.isfinite().all(), overflow)
        self._projection = torch.where(ok, new, old)
        grad = self._weight.grad.flatten(1)
        projected = grad @ old.to(grad)
        kept = projected.norm() / (grad.norm() * (old.norm() / len(old) ** 0.5).to(grad))
        turns = torch.arange(len(encoders), device=grad.device) == self.turn
        self.stats = {'turn': turns.to(grad), 'kept': kept}
        self._weight.grad.copy_(projected.view_as(self._weight))
        let_rest(encoders, self.turn)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {'updates': self._updates, 'projection': self._projection}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._updates, self._projection = state_dict['updates'], state_dict['projection']
        self._inputs = None


def absorbed(projection: Tensor, h: Tensor, alpha: float) -> Tensor:
    """Return ``P`` ``(C, C)`` after it has taken up ``h`` ``(C,)``, with a norm of 1."""
    image = projection @ h
    projection = projection - torch.outer(image, image) / (alpha + h @ image)
    return projection / projection.norm()
