"""Alternating unimodal adaptation (Zhang et al., CVPR 2024, arXiv 2311.10707)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.checks import check_adds_up
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Change, Pass
from mmcggm.balancers.state import Memory, UpdateSum
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
    mean of those from one, the authors' fixed fusion. A fusion that isn't additive would meet modalities
    together in prediction for the first time; it is refused in the first pass. The paper's weights by
    entropy, in prediction, are left out. For any task, though published for classification.

    The authors' code takes M steps on each batch, one a modality; here each update is a turn, so ``M``
    times the epochs make as many steps of an encoder. There P leaves out the first ``h``, has already taken
    up the turn's own when it projects (the paper has the previous modality's), divides entry ``(i, j)`` by
    ``α + (P h)_i h_j`` instead of the scalar, and α falls from 0.1 to 0.01 in each epoch. (As released, it
    looks for a parameter ``module.weight`` in a head that names it ``weight``, and projects nothing.)
    The norm of P, which scales ``∇W`` by up to ``1 / √C``, is that of the code.

    Args:
        alpha: α, positive; the smaller, the more completely ``h`` is projected out.
        any_fusion: Whether a fusion that does not add up is taken all the same.

    Raises:
        ValueError: If ``alpha`` is not positive.
    """

    needs = acting_on('representations', 'loss', 'gradients')
    inputs = UpdateSum()  # what entered the head, and of how many, (C + 1,)
    updates = Memory(0)
    projection = Memory()  # P

    def __init__(self, alpha: float = 0.03, any_fusion: bool = False) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f'MLA needs alpha > 0, got {alpha}.')
        self.alpha = alpha
        self._check_fusion = not any_fusion
        self._weight: Tensor | None = None

    @property
    def turn(self) -> int:
        """Index of the modality whose update this is."""
        return self.updates % len(self.modalities)

    def changes(self) -> Mapping[int, Change]:
        """Return what leaves the modality whose turn it is alone."""
        count = len(self.modalities)
        return alone(self.turn, count, scale=count)

    def loss_term(self, seen: Pass) -> None:
        """Add up what entered the head over the micro-batches of the update.

        Raises:
            ValueError: If the head's last layer is neither linear nor a convolution of width 1, or its weight
                is computed from others, or fusion does not add up.
        """
        weight = self._weight = seen.head_weight
        if not weight.is_leaf:
            raise ValueError(
                'MLA projects the gradient of the weight of the head, but `head` is a layer that computes '
                'its weight from others, as by weight norm: choose a plain layer, or another method.'
            )
        if weight.shape[2:].numel() != 1:
            raise ValueError(
                'MLA needs a head whose last layer is Linear or a convolution of width 1, but `head` has a '
                f'weight of shape {tuple(weight.shape)}.'
            )
        if self._check_fusion:
            check_adds_up(seen, self.name)
            self._check_fusion = False
        entered = seen.head_input.detach().float()
        channels = entered.movedim(1, -1) if weight.ndim > 2 else entered
        channels = channels.flatten(0, -2)
        self.inputs.add(torch.cat([channels.sum(0), channels.new_full((1,), len(channels))]))
        if self.projection is None:
            self.projection = torch.eye(channels.shape[1]).to(channels)

    def change_gradients(self) -> None:
        """Project the head's gradient, and let the others' encoders rest."""
        inputs, old = self.inputs.total, self.projection
        new = absorbed(old, inputs[:-1] / inputs[-1], self.alpha)
        self.projection = torch.where(new.isfinite().all(), new, old)
        weight = self._weight
        if weight is None or weight.grad is None:
            raise ValueError('MLA projects the gradient of the head, but backward has left none.')
        grad = weight.grad.flatten(1)
        projected = grad @ old.to(grad)
        kept = projected.norm() / (grad.norm() * (old.norm() / len(old) ** 0.5).to(grad))
        turns = torch.arange(len(self.encoders), device=grad.device) == self.turn
        self.stats = {'turn': turns.to(grad), 'kept': kept}
        weight.grad.copy_(projected.view_as(weight))
        let_rest(self.encoders, self.turn)
        self.updates += 1


def absorbed(projection: Tensor, h: Tensor, alpha: float) -> Tensor:
    """Return ``P`` ``(C, C)`` after it has taken up ``h`` ``(C,)``, with a norm of 1."""
    image = projection @ h
    projection = projection - torch.outer(image, image) / (alpha + h @ image)
    return projection / projection.norm()
