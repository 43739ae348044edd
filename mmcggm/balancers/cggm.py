"""Classifier-Guided Gradient Modulation (Guo et al., NeurIPS 2024, arXiv 2411.01409)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmcggm.registry import BALANCERS

from .base import Balancer, GuidedStep, scores_from_counts
from .progress import Progress


def balancing_terms(delta: Tensor, tolerance: float) -> Tensor:
    """Return ``B_i = (Σ_{k≠i} Δ_k) / (Σ_k Δ_k)`` for progress ``delta`` ``(M,)``.

    At a pole (``|Σ_k Δ_k|`` below ``tolerance``) every term takes the neutral value ``(M - 1) / M``,
    which is what equal progress gives.
    """
    total = delta.sum()
    pole = total.abs() < tolerance
    terms = (total - delta) / total.where(~pole, torch.ones_like(total))
    return terms.where(~pole, torch.full_like(delta, (len(delta) - 1) / len(delta)))


def direction_loss(terms: Tensor, cosines: Tensor) -> Tensor:
    """Return ``L_gm = (1/M) Σ_i (|B_i| - B_i cos(g, g_i))``, a scalar, from two tensors ``(M,)``."""
    return (terms.abs() - terms * cosines).mean()


def direction_gradient(terms: Tensor, grad: Tensor, guide_grads: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``∂L_gm/∂g`` and the cosines, in closed form.

    Args:
        terms: ``B``, shape ``(M,)``.
        grad: ``g``, flattened, shape ``(P,)``.
        guide_grads: The ``g_i``, flattened, shape ``(M, P)``.

    Returns:
        The gradient ``(P,)`` and ``cos(g, g_i)`` ``(M,)``. A vanishing gradient has no direction:
        its cosine and its contribution are zero.
    """
    tiny = torch.finfo(grad.dtype).tiny
    norm = torch.linalg.vector_norm(grad)
    unit = grad / norm.clamp(min=tiny)
    guide_units = guide_grads / torch.linalg.vector_norm(guide_grads, dim=1, keepdim=True).clamp(min=tiny)
    cosines = guide_units @ unit
    gradient = ((terms @ cosines) * unit - terms @ guide_units) / (len(terms) * norm)
    return gradient.where(norm > 0, torch.zeros_like(gradient)), cosines


@BALANCERS.register_module()
class CGGM(Balancer):
    """Scales each encoder's gradient and aligns the fused gradient with the weak modalities'.

    With the progress ``Δ_i`` of guide ``i`` and ``B_i = (Σ_{k≠i} Δ_k) / (Σ_k Δ_k)``:

    - magnitude: ``∇θ_i ← ρ B_i ∇θ_i``, after backward and before clipping;
    - direction: ``L = L_task + λ L_gm``, ``L_gm = (1/M) Σ_i (|B_i| - B_i cos(g, g_i))`` with
      ``g = ∂L_task/∂W`` and ``g_i = ∂L_i/∂W_i`` (constants) at the last layers of head and guides.

    Both use the scores of the same iteration. ``g`` keeps its graph, so the direction term reaches
    every parameter of the fused model, at the price of differentiating the head's last layer twice.

    Several processes: scores are summed as counts and gradients averaged over processes. With the
    mean ``ḡ`` and ``v = ∂L_gm/∂ḡ`` in closed form, the term added to the loss is ``λ ⟨v, g⟩``, whose
    gradient averages to that of ``λ L_gm(ḡ)``; its value is not ``L_gm``, which is in ``stats``.

    Gradient accumulation: counts are summed over the micro-batches of an update, and magnitude uses
    them all. The direction term of a micro-batch uses the scores summed so far in its update.

    Args:
        rho: ρ. The scale at equal progress is ``ρ (M - 1) / M``.
        lam: λ, the weight of the direction loss. Zero skips the second differentiation.
        progress: How Δ comes from the scores: a :class:`Progress` or its config.
        bounds: Bounds ``(low, high)`` on B, or None for the paper's unbounded terms.
        tolerance: ``|Σ_k Δ_k|`` below which B is neutral, in units of the score.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        rho: float = 1.0,
        lam: float = 0.1,
        progress: Progress | dict | str = 'StepProgress',
        bounds: tuple[float, float] | None = None,
        tolerance: float = 1e-6,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        if rho <= 0:
            raise ValueError(f'CGGM needs rho > 0, got {rho}.')
        if lam < 0:
            raise ValueError(f'CGGM needs lam >= 0, got {lam}.')
        if bounds is not None and not bounds[0] < bounds[1]:
            raise ValueError(f'CGGM needs bounds (low, high) with low < high, got {bounds}.')
        if tolerance < 0:
            raise ValueError(f'CGGM needs tolerance >= 0, got {tolerance}.')
        if isinstance(progress, str):
            progress = dict(type=progress)
        self.rho = rho
        self.lam = lam
        self.progress = progress if isinstance(progress, Progress) else BALANCERS.build(progress)
        self.bounds = bounds
        self.tolerance = tolerance
        self.process_group = process_group
        self._counts: Tensor | None = None
        self._pending: Tensor | None = None

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Update B from the scores of this pass and return ``λ ⟨v, g⟩``, or None if λ is zero."""
        counts = self._sum(step.counts.detach())
        self._counts = counts if self._counts is None else self._counts + counts
        scores = scores_from_counts(self._counts)
        delta, self._pending = self.progress.measure(scores)
        terms = balancing_terms(delta, self.tolerance)
        if self.bounds is not None:
            terms = terms.clamp(*self.bounds)
        self.stats = {'B': terms, 'score': scores}
        if not self.active or self.lam == 0:
            return None

        (grad,) = torch.autograd.grad(step.task_loss, step.head_weight, create_graph=True)
        guide_grads = [
            torch.autograd.grad(loss, weight, retain_graph=True)[0].flatten()
            for loss, weight in zip(step.guide_losses, step.guide_weights, strict=True)
        ]
        grad = grad.flatten()
        grads = torch.stack([grad.detach(), *guide_grads])
        grads = self._sum(grads.to(torch.promote_types(grads.dtype, torch.float32)), mean=True)
        gradient, cosines = direction_gradient(terms.to(grads.dtype), grads[0], grads[1:])
        self.stats |= {'cos': cosines, 'L_gm': direction_loss(terms, cosines)}
        return self.lam * torch.dot(gradient.to(grad.dtype), grad)

    def adjust_gradients(self, encoders: Sequence[Sequence[nn.Parameter]]) -> None:
        """Scale the gradients of encoder ``i`` by ``ρ B_i`` and commit the scores of this update."""
        if self._pending is None:
            raise RuntimeError(
                'CGGM.adjust_gradients was called without adjust_loss before it in this update.'
            )
        if self.active:
            for parameters, scale in zip(encoders, (self.rho * self.stats['B']).unbind(), strict=True):
                grads = [p.grad for p in parameters if p.grad is not None]
                if grads:
                    torch._foreach_mul_(grads, scale)
        self.progress.state = self._pending
        self._counts = self._pending = None

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self.progress.state is None else {'progress': self.progress.state}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.progress.state = state_dict.get('progress')
        self._counts = self._pending = None

    def _sum(self, tensor: Tensor, mean: bool = False) -> Tensor:
        """Return ``tensor`` summed (or averaged) over the processes that train together."""
        if not (dist.is_available() and dist.is_initialized()):
            return tensor
        tensor = tensor.contiguous().clone()
        dist.all_reduce(tensor, group=self.process_group)
        return tensor / dist.get_world_size(self.process_group) if mean else tensor
