"""Sample-level modality valuation (Wei et al., CVPR 2024, arXiv 2309.06255)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.coalitions import Coalition, coalitions, masking, shapley_values
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sample_logits
from mmcggm.balancers.scores import mean_of_others
from mmcggm.balancers.state import Memory, UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class SMV(Balancer):
    """Trains a modality alone on the samples to whose prediction it contributes little.

    The value of a coalition ``S`` of modalities for a sample is what it is right with:

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
    the batch lacks is not trained alone, nor is one on samples that lack it.

    Level ``'sample'`` costs ``2^M - 2`` more forward passes, ``M`` of them backward as well; ``'modality'``
    as many forward in one pass of ``every``, and else one for each weak modality. The authors' code
    begins after 5 of 60 epochs: ``BalancingHook(begin=...)``.

    Args:
        level: ``'sample'`` or ``'modality'``.
        rate: Factor on the weights, positive; of level ``'modality'`` it is α of the authors' code.
        every: Of level ``'modality'``: one pass of so many is valued. 5 is the authors' fifth of the data.

    Raises:
        ValueError: If an argument is out of its range.
    """

    values = UpdateSum()  # of level 'modality': Σ φ and samples, (M + 1,)
    epoch_values = Memory()  # the same of this epoch
    passes = Memory(0)  # of this epoch
    weights = Memory()  # in use

    def __init__(self, level: str = 'sample', rate: float = 1.0, every: int = 5) -> None:
        super().__init__()
        if level not in ('sample', 'modality'):
            raise ValueError(f"SMV needs level='sample' or 'modality', got {level!r}.")
        if rate <= 0 or every < 1:
            raise ValueError(f'SMV needs rate > 0 and every >= 1, got rate={rate} and every={every}.')
        self.level = level
        self.rate = rate
        self.every = every
        self.needs = acting_on('loss', alone=False, epochs=level == 'modality', reruns=True)

    def observe(self, seen: Pass) -> None:
        """Value one pass of ``every``, for the weights of the next epoch."""
        if self.level == 'sample':
            return
        if self.passes % self.every == 0:
            values = valued(seen, _passes(seen, len(self.modalities), trained=False))
            self.stats = {**self.stats, 'value': values.mean(1)}
            self.values.add(torch.cat([values.sum(1), values.new_full((1,), values.shape[1])]))
        self.passes += 1

    def loss_term(self, seen: Pass) -> Tensor | None:
        """Return the weighted losses of the modalities alone."""
        if self.level == 'sample':
            return self._by_sample(seen)
        if self.weights is None:
            return None
        there = seen.vectors()
        weak = [i for i, w in enumerate(self.weights) if w > 0 and there[i] is not None]
        self.stats = {**self.stats, 'weight': torch.tensor(self.weights)}
        if not weak:
            return None
        alone = [seen.rerun(masking(frozenset({i}), len(self.modalities))) for i in weak]
        losses = _cross_entropies(alone, seen.labels())
        if (present := seen.present()) is not None:
            losses = losses * present.T.to(losses)[weak]
        losses = losses.mean(1)
        return torch.dot(losses, losses.new_tensor([self.weights[i] for i in weak]))

    def end_update(self) -> None:
        total = self.values.total
        if total is not None:
            self.epoch_values = total if self.epoch_values is None else self.epoch_values + total

    def end_epoch(self) -> None:
        """Take the weights of the next epoch from this one's values."""
        if self.epoch_values is not None:
            values = self.epoch_values[:-1] / self.epoch_values[-1]
            self.weights = (self.rate * modality_weights(values)).tolist()
        self.epoch_values, self.passes = None, 0

    def _by_sample(self, seen: Pass) -> Tensor:
        count = len(self.modalities)
        passes = _passes(seen, count, trained=True)
        values = valued(seen, passes)
        there = [[float(vector is not None)] for vector in seen.vectors()]
        weights = self.rate * sample_weights(values) * values.new_tensor(there)
        if (present := seen.present()) is not None:
            weights = weights * present.T.to(weights)
        self.stats = {'value': values.mean(1), 'weight': weights.mean(1)}
        alone = [passes[frozenset({i})] for i in range(count)]
        return (weights * _cross_entropies(alone, seen.labels())).mean(1).sum()


def valued(seen: Pass, passes: dict[Coalition, Pass]) -> Tensor:
    """Return ``φ`` ``(M, N)``, without a graph, of what each coalition but the empty one reached."""
    labels = seen.labels()
    values: dict[Coalition, Tensor] = {frozenset(): torch.zeros_like(labels, dtype=torch.float32)}
    for coalition, other in passes.items():
        right = sample_logits(other.output.detach()).argmax(1) == labels
        values[coalition] = len(coalition) * right.float()
    return shapley_values(values)


def sample_weights(values: Tensor) -> Tensor:
    """Return the copies of each sample that train each modality alone, for its values ``(M, N)``."""
    return 2 * (1 - values).clamp(min=0)


def modality_weights(values: Tensor) -> Tensor:
    """Return the fraction of the samples that train each modality alone, for mean values ``(M,)``."""
    others = mean_of_others(values)
    return 2 / 3 * (others - values).clamp(min=0)


def _passes(seen: Pass, count: int, trained: bool) -> dict[Coalition, Pass]:
    """Return what each coalition but the empty one reaches, if ``trained`` with graphs where it is alone."""
    _, *some, everyone = coalitions(count)
    found = {everyone: seen}
    for coalition in some:
        with torch.set_grad_enabled(trained and len(coalition) == 1):
            found[coalition] = seen.rerun(masking(coalition, count))
    return found


def _cross_entropies(passes: Sequence[Pass], labels: Tensor) -> Tensor:
    """Return the loss of each sample, ``(K, N)``, of ``K`` passes."""
    losses = [F.cross_entropy(sample_logits(o.output), labels, reduction='none') for o in passes]
    return torch.stack(losses)
