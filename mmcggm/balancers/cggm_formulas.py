"""The formulas of CGGM (arXiv 2411.01409): balancing terms, direction loss, and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from .pass_record import Pass


def balancing_terms(
    delta: Tensor, tolerance: float | None, bounds: tuple[float, float] | None = None
) -> tuple[Tensor, Tensor]:
    """Return ``B_i = (Σ_{k≠i} Δ_k) / (Σ_k Δ_k)`` for progress ``delta`` ``(M,)``, and whether it is a pole.

    At a pole (``|Σ_k Δ_k|`` below ``tolerance``) every term takes the neutral value ``(M - 1) / M``,
    which is what equal progress gives.

    Args:
        delta: Δ.
        tolerance: In units of the score, or None for the published code's ``Σ_k Δ_k + 1e-8``, which knows
            no pole and reaches 1e8.
        bounds: Bounds ``(low, high)`` on B, or None.
    """
    if tolerance is None:
        total, pole = delta.sum() + 1e-8, torch.zeros((), dtype=torch.bool, device=delta.device)
    else:
        total = delta.sum()
        pole = total.abs() < tolerance
    terms = (total - delta) / total.where(~pole, torch.ones_like(total))
    terms = terms.where(~pole, torch.full_like(delta, (len(delta) - 1) / len(delta)))
    return terms if bounds is None else terms.clamp(*bounds), pole


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


def last_layer_gradients(seen: Pass) -> tuple[list[Tensor], list[Tensor]]:
    """Return the ``g`` of each head, with their graphs, and the ``g_i`` without, each flattened."""
    guide_grads = [
        seen.gradients(loss, [weight])[0].flatten()
        for loss, weight in zip(seen.guide_losses, seen.guide_weights, strict=True)
    ]
    grads = seen.gradients(seen.task_loss, distinct_heads(seen), create_graph=True)
    return [grad.flatten() for grad in grads], guide_grads


def last_layer_weights(seen: Pass) -> tuple[list[Tensor], list[Tensor]]:
    """Return the W of each head, with their graphs, and the W_i without, each flattened."""
    weights = [weight.flatten() for weight in distinct_heads(seen)]
    return weights, [weight.detach().flatten() for weight in seen.guide_weights]


def distinct_heads(seen: Pass) -> list[Tensor]:
    """Return the weights of the heads, each once, in the order of the modalities."""
    return list({id(weight): weight for weight in seen.head_weights}.values())


def modalities_of_heads(seen: Pass) -> list[list[int]]:
    """Return for each of :func:`distinct_heads` the indices of its modalities."""
    weights = seen.head_weights
    return [
        [index for index, weight in enumerate(weights) if weight is head] for head in distinct_heads(seen)
    ]
