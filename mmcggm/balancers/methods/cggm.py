"""Classifier-Guided Gradient Modulation (Guo et al., NeurIPS 2024, arXiv 2411.01409)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer, scale_gradients
from mmcggm.balancers.cggm_formulas import (
    balancing_terms,
    direction_gradient,
    direction_loss,
    last_layer_gradients,
    last_layer_weights,
    modalities_of_heads,
)
from mmcggm.balancers.checks import check_arguments, check_last_layers, measured_counts
from mmcggm.balancers.needs import Needs, Part
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.progress import Progress
from mmcggm.balancers.schedule import Schedule
from mmcggm.balancers.scores import scores_from_counts
from mmcggm.balancers.state import Memory, UpdateSum
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

    The defaults are the settings of the paper; what is recommended is in docs/cggm.md, and is what
    ``mmcggm.balance`` begins with in a loop.

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

    Raises:
        ValueError: If an argument is out of its range.
    """

    counts = UpdateSum()  # (M, K, 2)
    updates = Memory(0)
    score = Memory(torch.zeros)  # ε (M,)
    progress_state = Memory()
    B = Memory(lambda count: torch.full((count,), (count - 1) / count))
    weight_gradient = Memory()  # of direction 'weight'

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
    ) -> None:
        super().__init__()
        self.rho = None if isinstance(rho, str) else Schedule(rho, 'rho')
        self.lam = Schedule(lam, 'lam')
        check_arguments(
            'CGGM',
            (rho == 'neutral' or self.rho is not None, f"rho a number, points or 'neutral', got {rho!r}"),
            (self.rho is None or min(self.rho.values) > 0, f'rho > 0, got {rho}'),
            (min(self.lam.values) >= 0, f'lam >= 0, got {lam}'),
            (direction in DIRECTIONS, f"direction in {DIRECTIONS}, got '{direction}'"),
            (magnitude in MAGNITUDES, f"magnitude in {MAGNITUDES}, got '{magnitude}'"),
            (bounds is None or bounds[0] < bounds[1], f'bounds (low, high), low < high, got {bounds}'),
            (tolerance is None or tolerance >= 0, f'tolerance >= 0 or None, got {tolerance}'),
            (interval >= 1, f'interval >= 1, got {interval}'),
        )
        self.direction, self.magnitude = direction, magnitude
        self.progress: Progress = (
            progress
            if isinstance(progress, Progress)
            else BALANCERS.build(progress, key='optim_wrapper.balancer.progress', kind=Progress)
        )
        self.bounds, self.tolerance, self.interval = bounds, tolerance, interval
        self.needs = _needs(direction, magnitude, max(self.lam.values))
        # Of the update under way:
        self._measured: tuple[Tensor, Tensor, Tensor] | None = None  # ε, progress, B
        self._weight_gradient: Tensor | None = None

    @property
    def terms(self) -> Tensor:
        """B of this update, ``(M,)``, or of the last one that measured."""
        return self.B if self._measured is None else self._measured[-1]

    def observe(self, seen: Pass) -> None:
        """Measure B from the counts of this update so far.

        Raises:
            ValueError: If what ``seen`` counts hasn't the shape that it needs.
        """
        if self.updates % self.interval:
            return
        self.counts.add(measured_counts(seen, len(self.modalities)))
        scores = scores_from_counts(self.counts.total)
        finite = scores.isfinite()
        delta, state = self.progress.measure(scores, self.progress_state)
        scores = scores.where(finite, self.score.to(scores))
        terms, pole = balancing_terms(delta, self.tolerance, self.bounds)
        self._measured = scores, state, terms
        self.stats = {'B': terms, 'score': scores}
        self.count_event('B at a pole, taken as neutral', pole)
        self.count_event('score not finite, taken as unchanged', ~finite.all())

    def loss_term(self, seen: Pass) -> Tensor | None:
        """Return the direction term of this pass, or None if there is none.

        Raises:
            ValueError: If last layers have other shapes than they need.
        """
        lam = self.lam(self.clock.progress)
        if lam == 0 or self.direction == 'none':
            return None
        check_last_layers(seen, self.encoders)
        of_weights = self.direction == 'weight'
        if not of_weights and self._measured is None:
            return None
        return self._direction_term(seen, lam, of_weights)

    def change_gradients(self) -> None:
        """Scale the gradients of encoder ``i`` by ``ρ B_i``."""
        if self.magnitude == 'gradient':
            scale_gradients(self.encoders, self._scales())

    def rate_factors(self) -> Tensor | None:
        """Return ``ρ B`` with ``magnitude='update'``; to read it is one synchronisation a step."""
        return self._scales() if self.magnitude == 'update' else None

    def end_update(self) -> None:
        """Remember what was measured."""
        if self._measured is not None:
            self.score, self.progress_state, self.B = self._measured
        if self._weight_gradient is not None:
            self.weight_gradient = self._weight_gradient
        self.updates += 1
        self._measured = self._weight_gradient = None

    def _direction_term(self, seen: Pass, lam: float, of_weights: bool) -> Tensor | None:
        """Return ``λ ⟨v, g⟩`` with ``v = ∂L_gm/∂ḡ``; for weights, ``λ ⟨v, W⟩`` with the last update's v."""
        vectors, guide_vectors = last_layer_weights(seen) if of_weights else last_layer_gradients(seen)
        count = len(guide_vectors)
        gradients, by_modality = [], dict[int, Tensor]()
        for vector, members in zip(vectors, modalities_of_heads(seen), strict=True):
            means = torch.stack([vector.detach(), *(guide_vectors[index] for index in members)])
            means = means.to(torch.promote_types(means.dtype, torch.float32))
            means = self.training.over_processes(means, mean=True)
            terms = torch.stack([self.terms[index] for index in members]).to(means)
            gradient, found = direction_gradient(terms, means[0], means[1:])
            gradients.append(gradient * (len(members) / count))
            by_modality |= zip(members, found.unbind(), strict=True)
        cosines = torch.stack([by_modality[index] for index in range(count)])
        self.stats |= {'cos': cosines, 'L_gm': direction_loss(self.terms.to(cosines), cosines)}
        gradient, vector = torch.cat(gradients), torch.cat(vectors)
        if of_weights:
            self._weight_gradient, gradient = gradient, self.weight_gradient
        return None if gradient is None else lam * torch.dot(gradient.to(vector), vector)

    def _rho(self) -> float:
        """Return ρ."""
        count = len(self.modalities)
        return count / (count - 1) if self.rho is None else self.rho(self.clock.progress)

    def _scales(self) -> Tensor:
        """Return ``ρ B``, shape ``(M,)``."""
        return self._rho() * self.terms


def _needs(direction: str, magnitude: str, lam: float) -> Needs:
    scaled: dict[str, Part] = {'gradient': 'gradients', 'update': 'rates'}
    alone = frozenset({scaled[magnitude]} if magnitude in scaled else ())
    return Needs(
        acts_on=alone | ({'loss'} if direction != 'none' else set()),
        alone_on=alone,
        rates=magnitude == 'update',
        second_derivatives=direction == 'gradient' and lam > 0,
    )
