"""MMPareto: gradients of multimodal and unimodal losses without conflict (Wei & Hu, ICML 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.flat_gradients import accumulated, gradient_of
from mmcggm.balancers.needs import Needs
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.state import UpdateMean
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MMPareto(Balancer):
    """Trains each encoder on the unimodal loss as well, along a direction that improves both losses.

    Wei & Hu, *MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance*, ICML 2024, arXiv
    2405.17730. With the gradients ``g^m`` of the fused model's loss and ``g^u`` of the guide's loss at the
    parameters of one encoder, its gradient becomes

        ``γ ‖g^m + g^u‖ h / ‖h‖``,  ``h = α g^m + (1 - α) g^u``

    where ``α = ½`` if ``⟨g^m, g^u⟩ ≥ 0``, which leaves ``γ (g^m + g^u)``, and otherwise the weight of
    least ``‖h‖``: then ``h`` descends both losses, and would be short without the factor. Gradients that
    cancel exactly have no common direction, and their encoder stays.

    Each encoder has its own two losses, so the method is the same for any number of modalities, and for
    any task. Norms are taken over the whole encoder, so that the result has the direction of ``h``; the
    authors' code rescales each parameter by itself, and never down. Guides train on their own losses.

    The price is a second backward pass through the encoders and, over several processes, one more sum of
    their gradients. Not for sharded parameters, whose gradients only the framework's backward pass finds.

    Args:
        gamma: γ, positive; 1.5 in the authors' code.

    Raises:
        ValueError: If ``gamma`` is not positive.
    """

    # Backward must leave the gradients of the fused model's loss, and of nothing else.
    needs = Needs(frozenset({'gradients'}), frozenset({'gradients', 'loss'}), whole_encoders=True)
    unimodal = UpdateMean()  # g^u of each encoder

    def __init__(self, gamma: float = 1.5) -> None:
        super().__init__()
        if gamma <= 0:
            raise ValueError(f'MMPareto needs gamma > 0, got {gamma}.')
        self.gamma = gamma

    def loss_term(self, seen: Pass) -> None:
        """Add up ``g^u`` over the micro-batches of the update."""
        losses = zip(seen.unimodal_losses(), self.encoders, strict=True)
        self.unimodal.add([gradient_of(seen, loss, parameters) for loss, parameters in losses])

    def change_gradients(self) -> None:
        cosines, weights = [], []
        for parameters, unimodal in zip(self.encoders, self.unimodal.total, strict=True):
            multimodal = accumulated(parameters, unimodal)
            cosines.append(torch.cosine_similarity(multimodal, unimodal, dim=0))
            gradient, weight = pareto_gradient(multimodal, unimodal)
            weights.append(weight)
            parts = (self.gamma * gradient).split([p.numel() for p in parameters])
            for parameter, part in zip(parameters, parts, strict=True):
                if parameter.grad is not None:
                    parameter.grad.copy_(part.view_as(parameter))
        self.stats = {'cos': torch.stack(cosines), 'weight': torch.stack(weights)}


def pareto_gradient(multimodal: Tensor, unimodal: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``‖g^m + g^u‖ h / ‖h‖`` and ``α``, a scalar, for two gradients ``(P,)``."""
    weight = min_norm_weight(multimodal, unimodal)
    weight = torch.where(torch.dot(multimodal, unimodal) < 0, weight, torch.full_like(weight, 0.5))
    mixed = weight * multimodal + (1 - weight) * unimodal
    norm = torch.linalg.vector_norm(mixed)
    # Where the two cancel, what is left of h is rounding error, which must not be blown up.
    noise = 8 * torch.finfo(norm.dtype).eps * torch.linalg.vector_norm(multimodal - unimodal)
    scale = torch.linalg.vector_norm(multimodal + unimodal) / norm
    return mixed * scale.where(norm > noise, torch.zeros_like(scale)), weight


def min_norm_weight(first: Tensor, second: Tensor) -> Tensor:
    """Return the ``α`` in [0, 1], a scalar, of least ``‖α first + (1 - α) second‖`` for vectors ``(P,)``."""
    difference = second - first
    square = torch.dot(difference, difference)
    return (torch.dot(second, difference) / square.clamp(min=torch.finfo(square.dtype).tiny)).clamp(0, 1)
