"""Adaptive Gradient Modulation (Li et al., ICCV 2023, arXiv 2308.07686)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.coalitions import coalitions, masking, shapley_values
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.scores import mean_of_others
from mmcggm.balancers.state import Memory, UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class AGM(Balancer):
    """Scales what flows back through each modality's share of the fused output.

    The response ``φ_i`` of modality ``i`` is its Shapley value: its share of the head's output (logits)
    ``v(S)`` over the coalitions ``S`` of modalities that are not masked, with ``v(∅) = 0``, so that
    ``Σ_i φ_i`` is the output. With the cross-entropy ``s_i`` of ``φ_i`` on the batch, its running mean
    ``s̄_i`` over all updates before, and

        ``r_i = exp(mean_{k≠i} s_k - s_i)``,  ``τ_i = exp(mean_{k≠i} s̄_k - s̄_i)``

    the gradient that reaches ``φ_i`` is multiplied by ``κ_i = exp(α (τ_i - r_i))``: a modality that is
    further ahead of the others than it used to be is slowed. With any fusion, this modulates all parameters
    behind ``φ_i``: the encoder, the fusion and the head. If the fusion is a sum, the encoder alone makes up
    ``φ_i``.

    The authors published and released it for two and for three modalities; it is the same here for ``M``.
    As in their code, ``τ_i - r_i`` is capped (at 7), a probability is at least 1e-8, and masked passes run
    in evaluation mode. They mask the input of a modality; here its representation becomes zero.

    It costs ``2^M - 2`` more passes, forward and backward, and the memory of all of them: 2 with two
    modalities, 6 with three, 62 with six. For tasks with probabilities. A modality that the batch lacks
    counts as masked.

    Args:
        alpha: α, positive. The authors name 2.5 for AV-MNIST, 1.5 for CREMA-D and, of three modalities,
            4.0 for UR-Funny.

    Raises:
        ValueError: If ``alpha`` is not positive.
    """

    needs = acting_on('gradients', reruns=True)
    losses = UpdateSum()  # M cross-entropies, and the samples
    means = Memory(torch.zeros)  # s̄
    updates = Memory(lambda count: torch.zeros(()))

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f'AGM needs alpha > 0, got {alpha}.')
        self.alpha = alpha

    def observe(self, seen: Pass) -> None:
        """Measure ``κ`` from the micro-batches so far."""
        with torch.set_grad_enabled(self.active):
            self._responses = self._shares(seen)
        confidences = torch.stack([seen.confidences_of(share) for share in self._responses.detach()])
        losses = -confidences.float().clamp(min=1e-8).log()
        self.losses.add(torch.cat([losses.sum(1), losses.new_full((1,), losses.shape[1])]))
        scores = self._scores()
        self._coefficients = agm_coefficients(scores, self.means.to(scores), self.alpha)
        self.stats = {'k': self._coefficients, 'response_loss': scores}

    def loss_term(self, seen: Pass) -> Tensor:
        """Return a term of value zero whose gradient is what modulation adds to the task loss's."""
        grad = seen.gradients(seen.task_loss, [seen.output])[0]
        flow = (grad * self._responses).flatten(1).sum(1)
        term = torch.dot(self._coefficients.to(flow) - 1, flow)
        return term - term.detach()

    def end_update(self) -> None:
        """Take the scores of this update into the running mean, if they are finite."""
        scores = self._scores()
        counted = scores.isfinite().all()
        moved = self.means + (scores - self.means) / (self.updates + 1)
        self.means = torch.where(counted, moved, self.means)
        self.updates = self.updates + counted
        del self._responses  # with the graphs of all coalitions

    def _shares(self, seen: Pass) -> Tensor:
        """Return ``φ``, shape ``(M, *)`` for an output ``(*)``."""
        count = len(self.modalities)
        nobody, *some, everyone = coalitions(count)
        outputs = {coalition: seen.rerun(masking(coalition, count)).output for coalition in some}
        return shapley_values({nobody: torch.zeros_like(seen.output), **outputs, everyone: seen.output})

    def _scores(self) -> Tensor:
        """Return ``s`` ``(M,)`` of the update so far."""
        sums = self.losses.total
        return sums[:-1] / sums[-1]


def agm_coefficients(scores: Tensor, means: Tensor, alpha: float) -> Tensor:
    """Return ``κ`` for the scores ``s`` and their running means ``s̄``, all ``(M,)``."""
    return (alpha * (_ratios(means) - _ratios(scores)).clamp(max=7)).exp()


def _ratios(scores: Tensor) -> Tensor:
    return (mean_of_others(scores) - scores).exp()
