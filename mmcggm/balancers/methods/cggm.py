"""Classifier-Guided Gradient Modulation (Guo et al., NeurIPS 2024, arXiv 2411.01409)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from mmcggm.balancers.balancer import Balancer, GuidedStep, over_processes, scores_from_counts
from mmcggm.balancers.cggm_formulas import (
    balancing_terms,
    direction_gradient,
    direction_loss,
    last_layer_gradients,
    last_layer_weights,
)
from mmcggm.balancers.checks import by_encoder, check_arguments, check_guide_weights, measured_counts
from mmcggm.balancers.overflow import committed
from mmcggm.balancers.progress import Progress
from mmcggm.balancers.scaled_rates import scaled_rates
from mmcggm.balancers.schedule import Schedule
from mmcggm.registry import BALANCERS

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

    Scores are summed as counts over the processes and over the micro-batches of an update (direction
    uses those so far), gradients averaged over processes. With their mean ``ḡ`` and ``v = ∂L_gm/∂ḡ``
    in closed form, the term added to the loss is ``λ ⟨v, g⟩``, whose gradient averages to that of
    ``λ L_gm(ḡ)``; its value is not ``L_gm``, which is in ``stats``. A score that is not finite (a
    guide's input was not) counts as unchanged.

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
        check_arguments(
            'CGGM',
            (self.rho is None or min(self.rho.values) > 0, f'rho > 0, got {rho}'),
            (min(self.lam.values) >= 0, f'lam >= 0, got {lam}'),
            (direction in DIRECTIONS, f"direction in {DIRECTIONS}, got '{direction}'"),
            (magnitude in MAGNITUDES, f"magnitude in {MAGNITUDES}, got '{magnitude}'"),
            (bounds is None or bounds[0] < bounds[1], f'bounds (low, high), low < high, got {bounds}'),
            (tolerance is None or tolerance >= 0, f'tolerance >= 0 or None, got {tolerance}'),
            (interval >= 1, f'interval >= 1, got {interval}'),
        )
        self.direction, self.magnitude = direction, magnitude
        self.needs_groups = magnitude == 'update'
        if not isinstance(progress, Progress):
            progress = BALANCERS.build(progress, key='optim_wrapper.balancer.progress', kind=Progress)
        self.progress = progress
        self.bounds, self.tolerance, self.interval = bounds, tolerance, interval
        self.process_group = process_group
        self._updates = 0
        self._committed: dict[str, Tensor] = {}
        self._begin_update()

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
        return self._direction_term(step, lam) if measures or self.direction == 'weight' else None

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
        self._begin_update()

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
        self._begin_update()

    def _begin_update(self) -> None:
        self._observed = False
        self._counts: Tensor | None = None
        self._pending: dict[str, Tensor] = {}  # what this update will commit

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

    def _direction_term(self, step: GuidedStep, lam: float) -> Tensor | None:
        """Return ``λ ⟨v, g⟩`` with ``v = ∂L_gm/∂ḡ``; for weights, ``λ ⟨v, W⟩`` with the last update's v."""
        of_weights = self.direction == 'weight'
        vector, guide_vectors = last_layer_weights(step) if of_weights else last_layer_gradients(step)
        means = torch.stack([vector.detach(), *guide_vectors])
        means = means.to(torch.promote_types(means.dtype, torch.float32))
        means = over_processes(means, self.process_group, mean=True)
        terms = self._terms().to(means)
        gradient, cosines = direction_gradient(terms, means[0], means[1:])
        self.stats |= {'cos': cosines, 'L_gm': direction_loss(terms, cosines)}
        if of_weights:
            self._pending['weight_gradient'] = gradient
            gradient = self._committed.get('weight_gradient')
        return None if gradient is None else lam * torch.dot(gradient.to(vector), vector)

    def _terms(self) -> Tensor:
        """Return B of this update, or of the last one that measured."""
        return self._pending['B'] if 'B' in self._pending else self._committed['B']

    def _scales(self) -> Tensor:
        """Return ``ρ B``, shape ``(M,)``."""
        terms = self._terms()
        rho = len(terms) / (len(terms) - 1) if self.rho is None else self.rho(self.training_progress)
        return rho * terms
