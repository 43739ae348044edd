"""Classifier-Guided Gradient Modulation (Guo et al., NeurIPS 2024, arXiv 2411.01409)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from mmcggm.registry import BALANCERS

from .base import Balancer, GuidedStep, over_processes, scores_from_counts
from .cggm_formulas import balancing_terms, direction_gradient, direction_loss, last_layer_gradients
from .checks import by_encoder, check_guide_weights, measured_counts
from .overflow import committed
from .progress import Progress
from .scaled_rates import scaled_rates
from .schedule import Schedule

DIRECTIONS = ('gradient', 'weight', 'none')
MAGNITUDES = ('gradient', 'update', 'none')


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

    A score that is not finite (a guide's input was not) counts as unchanged.

    Args:
        rho: ρ, a number or a :class:`Schedule`'s points, or ``'neutral'`` for ``M / (M - 1)``: the
            scale at equal progress is ``ρ (M - 1) / M``.
        lam: λ, the weight of the direction loss, a number or a schedule's points. While it is zero
            nothing is differentiated twice.
        direction: ``'gradient'``, the paper's; ``'weight'``, the published code's: the cosines are
            those of the *weights* W and W_i, and the term joins the *next* iteration's loss, so it
            moves W alone; ``'none'``.
        magnitude: ``'gradient'`` scales the gradient, as published; ``'update'`` the learning rate
            of the encoder in this step, which an optimizer that normalises the gradient (Adam) does
            not undo; ``'none'``.
        progress: How Δ comes from the scores: a :class:`Progress` or its config.
        bounds: Bounds ``(low, high)`` on B, or None for the paper's unbounded terms.
        tolerance: ``|Σ_k Δ_k|`` below which B is neutral, in units of the score, or None for the
            published code's ``Σ_k Δ_k + 1e-8``.
        interval: Updates between measurements. In the others B stays and there is no direction term.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        rho: float | Sequence[tuple[float, float]] | str = 1.0,
        lam: float | Sequence[tuple[float, float]] = 0.1,
        direction: str = 'gradient',
        magnitude: str = 'gradient',
        progress: Progress | dict | str = 'StepProgress',
        bounds: tuple[float, float] | None = None,
        tolerance: float | None = 1e-6,
        interval: int = 1,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.rho = None if rho == 'neutral' else Schedule(rho, 'rho')
        self.lam = Schedule(lam, 'lam')
        for holds, needed in (
            (self.rho is None or min(self.rho.values) > 0, f'rho > 0, got {rho}'),
            (min(self.lam.values) >= 0, f'lam >= 0, got {lam}'),
            (direction in DIRECTIONS, f"direction in {DIRECTIONS}, got '{direction}'"),
            (magnitude in MAGNITUDES, f"magnitude in {MAGNITUDES}, got '{magnitude}'"),
            (
                bounds is None or bounds[0] < bounds[1],
                f'bounds (low, high) with low < high, got {bounds}',
            ),
            (tolerance is None or tolerance >= 0, f'tolerance >= 0 or None, got {tolerance}'),
            (interval >= 1, f'interval >= 1, got {interval}'),
        ):
            if not holds:
                raise ValueError(f'CGGM needs {needed}.')
        self.direction = direction
        self.magnitude = magnitude
        self.needs_groups = magnitude == 'update'
        if not isinstance(progress, Progress):
            progress = BALANCERS.build(progress, key='optim_wrapper.balancer.progress', kind=Progress)
        self.progress = progress
        self.bounds = bounds
        self.tolerance = tolerance
        self.interval = interval
        self.process_group = process_group
        self._updates = 0
        self._committed: dict[str, Tensor] = {}
        # Of the update under way:
        self._observed = False
        self._counts: Tensor | None = None
        self._pending: dict[str, Tensor] = {}  # what it will commit

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Measure B, and return the direction term of this pass, or None if there is none.

        Raises:
            ValueError: If what ``step`` holds or counts hasn't the shape that it needs.
        """
        self._observed = True
        lam = self.lam(self.training_progress)
        measures = self._updates % self.interval == 0
        if measures:
            self._measure(step)
        if not self.active or lam == 0 or self.direction == 'none':
            return None
        check_guide_weights(step)
        if self.direction == 'weight':
            return self._weight_term(step, lam)
        return self._gradient_term(step, lam) if measures else None

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        """Scale the gradients of encoder ``i`` by ``ρ B_i`` and commit the scores of this update.

        Raises:
            RuntimeError: If no :meth:`adjust_loss` came before it in this update.
            ValueError: If ``encoders`` hasn't a list of parameters for each modality.
        """
        if not self._observed:
            raise RuntimeError(
                'CGGM.adjust_gradients was called without adjust_loss before it in this update.'
            )
        if self.active and self.magnitude == 'gradient':
            for parameters, scale in by_encoder(self, encoders, self._scales().unbind()):
                grads = [p.grad for p in parameters if p.grad is not None]
                if grads:
                    torch._foreach_mul_(grads, scale.to(grads[0].device))
        for name, new in self._pending.items():
            self._committed[name] = committed(new, self._committed.get(name), overflow)
        self._updates += 1
        self._observed, self._counts, self._pending = False, None, {}

    @contextmanager
    def scaled_updates(self, optimizer: Optimizer) -> Iterator[None]:
        """With ``magnitude='update'``, scale the learning rate of each encoder inside this context.

        The optimizer's groups say by ``modality``, an index, which encoder is theirs. B is read on
        the host, one synchronisation a step.

        Raises:
            ValueError: If no group of the optimizer has a ``modality``.
        """
        if not self.active or self.magnitude != 'update':
            yield
            return
        with scaled_rates(optimizer, self._scales().tolist(), "CGGM(magnitude='update')"):
            yield

    def state_dict(self) -> dict[str, Any]:
        return {'updates': self._updates, **self._committed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._committed = dict(state_dict)
        self._updates = self._committed.pop('updates')
        self._observed, self._counts, self._pending = False, None, {}

    def _measure(self, step: GuidedStep) -> None:
        """Set B and the scores from the counts of this update so far."""
        counts = over_processes(measured_counts(step), self.process_group)
        self._counts = counts if self._counts is None else self._counts + counts
        scores = scores_from_counts(self._counts)
        finite = scores.isfinite()
        scores = scores.where(finite, self._committed.get('score', torch.zeros_like(scores)).to(scores))
        delta, state = self.progress.measure(scores, self._committed.get('progress'))
        terms, pole = balancing_terms(delta, self.tolerance, self.bounds)
        self.stats = {'B': terms, 'score': scores}
        self._pending |= {'progress': state, 'score': scores, 'B': terms}
        self.count_event('B at a pole, taken as neutral', pole)
        self.count_event('score not finite, taken as unchanged', ~finite.all())

    def _gradient_term(self, step: GuidedStep, lam: float) -> Tensor:
        """Return ``λ ⟨v, g⟩`` with ``v = ∂L_gm/∂ḡ``, for the direction of the paper."""
        grad, guide_grads = last_layer_gradients(step)
        gradient = self._direction(grad, guide_grads)
        return lam * torch.dot(gradient.to(grad.dtype), grad)

    def _weight_term(self, step: GuidedStep, lam: float) -> Tensor | None:
        """Return the last update's term, linear in W, and prepare the next one's from the weights."""
        weight = step.head_weight.flatten()
        guide_weights = [w.detach().flatten() for w in step.guide_weights]
        self._pending['weight_gradient'] = self._direction(weight, guide_weights)
        last = self._committed.get('weight_gradient')
        return None if last is None else lam * torch.dot(last.to(weight), weight)

    def _direction(self, vector: Tensor, guide_vectors: Sequence[Tensor]) -> Tensor:
        """Return ``∂L_gm/∂vector``, for means over the processes."""
        vectors = torch.stack([vector.detach(), *guide_vectors])
        vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        vectors = over_processes(vectors, self.process_group, mean=True)
        terms = self._terms().to(vectors)
        gradient, cosines = direction_gradient(terms, vectors[0], vectors[1:])
        self.stats |= {'cos': cosines, 'L_gm': direction_loss(terms, cosines)}
        return gradient

    def _terms(self) -> Tensor:
        """Return B of this update, or of the last one that measured."""
        return self._pending['B'] if 'B' in self._pending else self._committed['B']

    def _scales(self) -> Tensor:
        """Return ``ρ B``, shape ``(M,)``."""
        terms = self._terms()
        rho = len(terms) / (len(terms) - 1) if self.rho is None else self.rho(self.training_progress)
        return rho * terms
