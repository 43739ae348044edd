"""Adaptive Gradient Modulation (Li et al., ICCV 2023, arXiv 2308.07686)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer, GuidedStep, mean_of_others, over_processes, present
from mmcggm.balancers.coalitions import coalitions, masking, shapley_values
from mmcggm.balancers.overflow import in_effect
from mmcggm.balancers.pass_record import GuidedPass
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
    further ahead of the others than it used to be is slowed. So with any fusion, all parameters behind
    ``φ_i`` are modulated: those of the fusion and the head as well as the encoder's, which alone makes up
    ``φ_i`` if the fusion is a sum.

    Published, and released by the authors, for two and for three modalities; this is the same for ``M``.
    As in their code, ``τ_i - r_i`` is capped (at 7), a probability is at least 1e-8, and masked passes run
    in evaluation mode. They mask a modality's input, here its representation becomes zero.

    It costs ``2^M - 2`` more passes, forward and backward, and the memory of all of them: 2 with two
    modalities, 6 with three, 62 with six. For tasks with probabilities. A modality that the batch lacks
    counts as masked.

    Args:
        alpha: α, positive. The authors name 2.5 for AV-MNIST, 1.5 for CREMA-D and, of three modalities,
            4.0 for UR-Funny.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If ``alpha`` is not positive.
    """

    def __init__(self, alpha: float = 1.0, process_group: dist.ProcessGroup | None = None) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f'AGM needs alpha > 0, got {alpha}.')
        self.alpha = alpha
        self.process_group = process_group
        self._committed: dict[str, Tensor] = {}
        self._sums: Tensor | None = None  # of the update under way: M cross-entropies, and the samples

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Return a term of value zero whose gradient is what modulation adds to the task loss's."""
        guided_pass = present(step.guided_pass, self)
        loss, _, output = guided_pass.fused()
        with torch.set_grad_enabled(self.active):
            responses = self._responses(guided_pass, output, len(step.guide_losses))
        coefficients = self._measure(guided_pass, responses.detach())
        if not self.active:
            return None
        (grad,) = torch.autograd.grad(loss, output, retain_graph=True)
        term = torch.dot(coefficients - 1, (grad * responses).flatten(1).sum(1))
        return term - term.detach()

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        """Take the scores of this update into the running mean."""
        scores = self._sums[:-1] / self._sums[-1]
        means, updates = self._means(scores), self._committed.get('updates', scores.new_zeros(()))
        counted = in_effect(scores.isfinite().all(), overflow)
        self._committed = {
            'means': torch.where(counted, means + (scores - means) / (updates + 1), means),
            'updates': updates + counted,
        }
        self._sums = None

    def state_dict(self) -> dict[str, Any]:
        return dict(self._committed)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._committed = dict(state_dict)
        self._sums = None

    @staticmethod
    def _responses(guided_pass: GuidedPass, output: Tensor, count: int) -> Tensor:
        """Return ``φ``, shape ``(M, *)`` for an output ``(*)``."""
        nobody, *some, everyone = coalitions(count)
        outputs = {coalition: guided_pass.rerun(masking(coalition, count)).output for coalition in some}
        return shapley_values({nobody: torch.zeros_like(output), **outputs, everyone: output})

    def _measure(self, guided_pass: GuidedPass, responses: Tensor) -> Tensor:
        """Return ``κ`` ``(M,)`` from the scores of this update so far."""
        confidences = torch.stack([guided_pass.confidences_of(response) for response in responses])
        losses = -confidences.float().clamp(min=1e-8).log()
        sums = torch.cat([losses.sum(1), losses.new_full((1,), losses.shape[1])])
        sums = over_processes(sums, self.process_group)
        self._sums = sums if self._sums is None else self._sums + sums
        scores = self._sums[:-1] / self._sums[-1]
        coefficients = agm_coefficients(scores, self._means(scores), self.alpha)
        self.stats = {'k': coefficients, 'response_loss': scores}
        return coefficients

    def _means(self, scores: Tensor) -> Tensor:
        """Return ``s̄``, which starts at zero for all."""
        return self._committed.get('means', torch.zeros_like(scores)).to(scores)


def agm_coefficients(scores: Tensor, means: Tensor, alpha: float) -> Tensor:
    """Return ``κ`` for the scores ``s`` and their running means ``s̄``, all ``(M,)``."""
    return (alpha * (_ratios(means) - _ratios(scores)).clamp(max=7)).exp()


def _ratios(scores: Tensor) -> Tensor:
    return (mean_of_others(scores) - scores).exp()
