"""Sample-level modality valuation (Wei et al., CVPR 2024, arXiv 2309.06255)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer, GuidedStep, mean_of_others, over_processes, present
from mmcggm.balancers.coalitions import Coalition, coalitions, masking, shapley_values
from mmcggm.balancers.pass_record import GuidedPass, Outcome, sample_logits
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class SMV(Balancer):
    """Trains a modality alone on the samples to whose prediction it contributes little.

    The value of a coalition ``S`` of modalities for a sample is what it is right with,

        ``v(S) = |S|`` if the prediction from ``S`` alone is right, else 0

    and ``φ_i``, the Shapley value, is what modality ``i`` contributes; ``Σ_i φ_i = M`` where all together are
    right. Below 1 it is low. The authors train on every such sample again, alone: the others masked. As
    weights ``w`` of these copies, beside the samples themselves, whose weight is 1,

        ``L + Σ_i mean_n w_i,n CE_i,n``,  with ``CE_i,n`` of the prediction from modality ``i`` alone,

    - ``level='sample'``: ``w_i,n = 2 rate max(0, 1 - φ_i,n)``, which for two modalities and ``rate=1`` are
      the 1, 2 or 3 copies of the authors' code for ``φ = ½, 0, -½``;
    - ``level='modality'``, which costs less: ``w_i = ⅔ rate max(0, mean_{k≠i} φ̄_k - φ̄_i)``, from means
      ``φ̄`` over some passes of the epoch before, the fraction of the samples that the authors' code
      copies. Until an epoch has ended it is zero.

    Published for two modalities; values, weights and passes are the same for ``M``, and that code's gap
    between the two became the one to the mean of the others. The authors value the training set after each
    epoch and make another data set of it; here each batch is valued as it comes, so samples need no names,
    copies share the augmentation of their sample, and weights stand for numbers of copies: an epoch has the
    same sum of gradients, in expectation, but fewer and larger steps. Copies run in evaluation mode, and all
    modalities together are valued in training mode. What is masked is the representation, as in the
    authors' code, on its way into any fusion. For classification with one label a sample; a modality that
    the batch lacks is not trained alone.

    Level ``'sample'`` costs ``2^M - 2`` more forward passes, ``M`` of them backward as well; ``'modality'``
    as many forward in one pass of ``every``, and else one for each weak modality. The authors' code
    begins after 5 of 60 epochs: ``CGGMHook(begin=...)``.

    Args:
        level: ``'sample'`` or ``'modality'``.
        rate: Factor on the weights, positive; of level ``'modality'`` it is α of the authors' code.
        every: Of level ``'modality'``: one pass of so many is valued. 5 is the authors' fifth of the data.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        level: str = 'sample',
        rate: float = 1.0,
        every: int = 5,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        if level not in ('sample', 'modality'):
            raise ValueError(f"SMV needs level='sample' or 'modality', got {level!r}.")
        if rate <= 0 or every < 1:
            raise ValueError(f'SMV needs rate > 0 and every >= 1, got rate={rate} and every={every}.')
        self.level = level
        self.rate = rate
        self.every = every
        self.process_group = process_group
        # Of level 'modality': the weights in use; and of this epoch, passes, Σ φ and samples (M + 1,).
        self._weights: list[float] | None = None
        self._passes = 0
        self._sums: Tensor | None = None

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Return the weighted losses of the modalities alone."""
        count = len(step.guide_losses)
        guided_pass = present(step.guided_pass, self)
        if self.level == 'sample':
            return self._by_sample(guided_pass, count) if self.active else None
        if self._passes % self.every == 0:
            self._observe(valued(guided_pass, _outcomes(guided_pass, count, trained=False)))
        self._passes += 1
        if not self.active or self._weights is None:
            return None
        seen = guided_pass.vectors()
        weak = [i for i, w in enumerate(self._weights) if w > 0 and seen[i] is not None]
        self.stats = {**self.stats, 'weight': torch.tensor(self._weights)}
        if not weak:
            return None
        outcomes = [guided_pass.rerun(masking(frozenset({i}), count)) for i in weak]
        losses = _cross_entropies(outcomes, guided_pass.labels()).mean(1)
        return torch.dot(losses, losses.new_tensor([self._weights[i] for i in weak]))

    def end_epoch(self, encoders: Sequence[Sequence[nn.Parameter]]) -> None:
        """Take the weights of the next epoch from this one's values."""
        if self._sums is not None:
            values = self._sums[:-1] / self._sums[-1]
            self._weights = (self.rate * modality_weights(values)).tolist()
        self._sums, self._passes = None, 0

    def state_dict(self) -> dict[str, Any]:
        return {'weights': self._weights, 'passes': self._passes, 'sums': self._sums}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._weights, self._passes = state_dict['weights'], state_dict['passes']
        self._sums = state_dict['sums']

    def _by_sample(self, guided_pass: GuidedPass, count: int) -> Tensor:
        outcomes = _outcomes(guided_pass, count, trained=True)
        values = valued(guided_pass, outcomes)
        seen = [[float(vector is not None)] for vector in guided_pass.vectors()]
        weights = self.rate * sample_weights(values) * values.new_tensor(seen)
        self.stats = {'value': values.mean(1), 'weight': weights.mean(1)}
        alone = [outcomes[frozenset({i})] for i in range(count)]
        return (weights * _cross_entropies(alone, guided_pass.labels())).mean(1).sum()

    def _observe(self, values: Tensor) -> None:
        """Add the values ``(M, N)`` of a pass to those of the epoch."""
        self.stats = {**self.stats, 'value': values.mean(1)}
        sums = torch.cat([values.sum(1), values.new_full((1,), values.shape[1])])
        sums = over_processes(sums, self.process_group)
        self._sums = sums if self._sums is None else self._sums.to(sums) + sums


def valued(guided_pass: GuidedPass, outcomes: dict[Coalition, Outcome]) -> Tensor:
    """Return ``φ`` ``(M, N)``, without a graph, of what each coalition but the empty one reached."""
    labels = guided_pass.labels()
    values: dict[Coalition, Tensor] = {frozenset(): torch.zeros_like(labels, dtype=torch.float32)}
    for coalition, outcome in outcomes.items():
        right = sample_logits(outcome.output.detach()).argmax(1) == labels
        values[coalition] = len(coalition) * right.float()
    return shapley_values(values)


def sample_weights(values: Tensor) -> Tensor:
    """Return the copies of each sample that train each modality alone, for its values ``(M, N)``."""
    return 2 * (1 - values).clamp(min=0)


def modality_weights(values: Tensor) -> Tensor:
    """Return the fraction of the samples that train each modality alone, for mean values ``(M,)``."""
    others = mean_of_others(values)
    return 2 / 3 * (others - values).clamp(min=0)


def _outcomes(guided_pass: GuidedPass, count: int, trained: bool) -> dict[Coalition, Outcome]:
    """Return what each coalition but the empty one reaches, if ``trained`` with graphs where it is alone."""
    _, *some, everyone = coalitions(count)
    found = {everyone: guided_pass.fused()}
    for coalition in some:
        with torch.set_grad_enabled(trained and len(coalition) == 1):
            found[coalition] = guided_pass.rerun(masking(coalition, count))
    return found


def _cross_entropies(outcomes: Sequence[Outcome], labels: Tensor) -> Tensor:
    """Return the loss of each sample, ``(K, N)``, of ``K`` outcomes."""
    losses = [F.cross_entropy(sample_logits(o.output), labels, reduction='none') for o in outcomes]
    return torch.stack(losses)
