"""MMPareto: gradients of multimodal and unimodal losses without conflict (Wei & Hu, ICML 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer, GuidedStep, over_processes, present
from mmcggm.balancers.checks import by_encoder
from mmcggm.balancers.flat_gradients import accumulated, gradient_of, refuse_sharded
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
    any task. Norms are those of the whole encoder, so that the direction is that of ``h``; the authors'
    code rescales each parameter by itself, and never down. Guides train on their own losses.

    The price is a second backward pass through the encoders and, over several processes, one more sum of
    their gradients. Not for sharded parameters, whose gradients only the framework's backward pass finds.

    Args:
        gamma: γ, positive; 1.5 in the authors' code.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If ``gamma`` is not positive.
    """

    def __init__(self, gamma: float = 1.5, process_group: dist.ProcessGroup | None = None) -> None:
        super().__init__()
        if gamma <= 0:
            raise ValueError(f'MMPareto needs gamma > 0, got {gamma}.')
        self.gamma = gamma
        self.process_group = process_group
        # Of the update under way: each encoder's g^u, summed over this many passes.
        self._unimodal: list[Tensor] = []
        self._passes = 0

    def adjust_loss(self, step: GuidedStep) -> None:
        """Add up ``g^u`` over the micro-batches of the update.

        Raises:
            ValueError: If parameters are sharded.
        """
        if not self.active:
            return
        found = present(step.guided_pass, self)
        encoders = found.encoders()
        refuse_sharded(chain.from_iterable(encoders), 'MMPareto')
        grads = [
            gradient_of(loss, parameters, step.task_loss)
            for loss, parameters in zip(found.unimodal_losses(), encoders, strict=True)
        ]
        before = self._unimodal or [torch.zeros_like(grad) for grad in grads]
        self._unimodal = [a + b for a, b in zip(before, grads, strict=True)]
        self._passes += 1

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        if not self._unimodal:
            return
        cosines, weights = [], []
        for parameters, unimodal in by_encoder(self, encoders, self._unimodal):
            unimodal = over_processes(unimodal / self._passes, self.process_group, mean=True)
            multimodal = accumulated(parameters, unimodal)
            cosines.append(torch.cosine_similarity(multimodal, unimodal, dim=0))
            gradient, weight = pareto_gradient(multimodal, unimodal)
            weights.append(weight)
            parts = (self.gamma * gradient).split([p.numel() for p in parameters])
            for parameter, part in zip(parameters, parts, strict=True):
                if parameter.grad is not None:
                    parameter.grad.copy_(part.view_as(parameter))
        self.stats = {'cos': torch.stack(cosines), 'weight': torch.stack(weights)}
        self._unimodal, self._passes = [], 0


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
