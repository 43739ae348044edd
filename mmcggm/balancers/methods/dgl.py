"""Disentangled Gradient Learning (Wei, Luo & Luo, ICCV 2025, arXiv 2507.10213)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.coalitions import masking
from mmcggm.balancers.fusion_alone import carried, fused_again, leaves_of
from mmcggm.balancers.needs import Needs
from mmcggm.balancers.pass_record import Change, Pass, sum_of_present
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class DGL(Balancer):
    """Trains encoders by unimodal losses alone, and fusion by the fused loss alone.

    Fusion gets the representations ``h_i`` detached, so that the fused loss trains what comes after them
    and nothing before; each encoder learns from the loss ``L_i`` of its own modality, which leaves fusion
    alone:

        ``∇θ_i = α ∂L_i/∂θ_i``,  ``∇θ_fusion = ∂L_task/∂θ_fusion``

    Thereby no modality suppresses another. ``L_i`` is

    - ``by='guides'``: the loss of guide ``i``;
    - ``by='fusion'``, as the authors have it: the fused model's loss with the representations of all others
      zero. It costs ``M`` more forward passes and ``M`` backward passes through fusion.

    Published, and released by the authors, for two modalities; this is the same for ``M``, for any task and
    fusion. In their code the pass with zeros is in training mode, here fusion is in evaluation mode in it,
    so that running statistics don't learn from zeros. A modality that the batch lacks learns nothing.

    Encoders get no other gradient, so α is a factor on their learning rate: with an optimizer that divides
    gradients by their size, such as Adam, and no limit on the gradient it changes nothing.

    Args:
        alpha: α, positive. The authors' scripts have 4 and 5 for CREMA-D, 2 and 3 for Kinetics-Sounds, with
            SGD.
        by: ``'guides'`` or ``'fusion'``.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, alpha: float = 1.0, by: str = 'guides') -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f'DGL needs alpha > 0, got {alpha}.')
        if by not in ('guides', 'fusion'):
            raise ValueError(f"DGL needs by='guides' or 'fusion', got {by!r}.")
        self.alpha = alpha
        self.by = by
        self.needs = Needs(
            frozenset({'representations', 'loss'}), frozenset({'representations'}), reruns=by == 'fusion'
        )

    def changes(self) -> Mapping[int, Change]:
        return dict.fromkeys(range(len(self.modalities)), torch.detach)

    def loss_term(self, seen: Pass) -> Tensor:
        losses = seen.unimodal_losses() if self.by == 'guides' else self._losses_of_fusion(seen)
        return self.alpha * sum_of_present(losses)

    def _losses_of_fusion(self, seen: Pass) -> list[Tensor | None]:
        """Return the losses of the modalities alone, each with its gradient at its encoder."""
        count, leaves = len(self.modalities), leaves_of(seen)
        found: list[Tensor | None] = [None] * count
        for index, own in enumerate(leaves):
            if own is not None:
                loss = fused_again(seen, leaves, masking(frozenset({index}), count)).task_loss
                flows: list[list[Tensor] | None] = [None] * count
                flows[index] = seen.gradients(loss, own)
                found[index] = carried(seen, loss, flows)
        return found
