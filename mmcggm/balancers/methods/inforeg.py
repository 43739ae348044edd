"""Information Acquisition Regulation, InfoReg (Huang et al., CVPR 2025, arXiv 2503.18595)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.discrepancy import confidence_sums
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.state import Memory, UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class InfoReg(Balancer):
    """Holds back encoders that lead, as long as they are in the window in which most is learnt.

    The trace of the Fisher information, ``Tr F_i = E ‖g_i‖²`` over the updates of an epoch, says how much
    encoder ``i`` is learning. Its window is open in epoch ``t`` while the trace still grows,

        ``(Tr F_i^(t-1) - Tr F_i^(t-2)) / Tr F_i^(t-1) > K``,

    and in the first two epochs. With the mean probability ``s_i`` that guide ``i`` gives to the truth in
    the update, and the mean lead ``Δ_i`` over those that are behind, an encoder that leads and whose window
    is open is bound to its parameters ``θ_i^0`` as the epoch began, by a term ``(a_i / 2) ‖θ_i - θ_i^0‖²``:

        ``∇θ_i ← ∇θ_i + a_i (θ_i - θ_i^0)``,  ``a_i = exp(β tanh Δ_i)``,
        ``Δ_i = mean_{k: s_k < s_i} (s_i - s_k)``

    The paper's formulas are for any number of modalities, its code for two. The sign of its equation 8
    contradicts its text; this follows the text. The authors' code differs: it measures the trace of one
    modality, of mean squares by layer, smoothed over ten epochs, with ``K = 0.05``; its factors are ``0.95
    exp(tanh Δ)`` and ``0.1 exp(tanh Δ)`` by modality; ``Δ`` is a difference of sums over the batch, which
    makes its tanh nearly one; and unimodal losses of the fused layer, split by modality, are added. Here
    :class:`MultiLoss` does that beside this method, and guides give ``s_i``, so that any fusion will do.
    For tasks with probabilities. What is measured is the gradient of the update, without the term. Not for
    sharded parameters.

    Args:
        beta: β, not negative: how much the hold grows with the lead.
        threshold: K, not negative.

    Raises:
        ValueError: If an argument is negative.
    """

    needs = acting_on('gradients', epochs=True, whole_encoders=True)
    confidence = UpdateSum()  # sums of probabilities, and numbers of samples, (2, M)
    initial = Memory()  # θ^0 of this epoch
    traces = Memory(lambda count: torch.zeros(2, count))  # of the last epoch and the one before
    squares = Memory(torch.zeros)  # of this epoch, Σ ‖g‖², (M,)
    updates = Memory(lambda count: torch.zeros(()))  # of this epoch
    epochs = Memory(0)

    def __init__(self, beta: float = 1.0, threshold: float = 0.05) -> None:
        super().__init__()
        if beta < 0 or threshold < 0:
            raise ValueError(
                f'InfoReg needs beta >= 0 and threshold >= 0, got beta={beta} and threshold={threshold}.'
            )
        self.beta = beta
        self.threshold = threshold

    def observe(self, seen: Pass) -> None:
        """Add up probabilities, and remember the encoders as the epoch begins."""
        counts = [0 if c is None else len(c) for c in seen.confidences()]
        sums = confidence_sums(seen)
        self.confidence.add(torch.stack([sums, sums.new_tensor(counts)]))
        if self.initial is None:
            self.initial = self._encoders_now()

    def change_gradients(self) -> None:
        """Measure the gradients, and add those of the hold."""
        squares = torch.stack([_square(encoder, self.squares) for encoder in self.encoders])
        self.squares, self.updates = self.squares + squares, self.updates + 1
        sums, counts = self.confidence.total
        leads, ahead = mean_leads(sums / counts.clamp(min=1), counts > 0)
        held = ahead & (self._growth() > self.threshold).to(ahead.device)
        holds = (self.beta * torch.tanh(leads)).exp() * held
        self.stats = {'hold': holds, 'growth': self._growth()}
        for encoder, first, hold in zip(self.encoders, self.initial, holds.unbind(), strict=True):
            for parameter, start in zip(encoder, first, strict=True):
                if parameter.grad is not None:
                    parameter.grad.add_((parameter.detach() - start) * hold.to(parameter))

    def end_epoch(self) -> None:
        """Close the epoch's measurement, and bind the encoders to where they are now."""
        self.traces = torch.stack([self.squares / self.updates.clamp(min=1), self.traces[0]])
        self.squares, self.updates = torch.zeros_like(self.squares), torch.zeros_like(self.updates)
        self.epochs += 1
        self.initial = self._encoders_now()

    def _growth(self) -> Tensor:
        """Return how much each encoder's trace grew, ``(M,)``; 1 in the first two epochs."""
        if self.epochs < 2:
            return torch.ones_like(self.squares)
        last, before = self.traces
        return (last - before) / last.clamp(min=torch.finfo(last.dtype).tiny)

    def _encoders_now(self) -> list[list[Tensor]]:
        return [[p.detach().clone() for p in encoder] for encoder in self.encoders]


def mean_leads(scores: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean lead of each modality over those behind it, and whether there are any, ``(M,)``.

    Args:
        scores: ``(M,)``.
        there: Bool ``(M,)``: which modalities count.
    """
    gaps = (scores.unsqueeze(1) - scores).clamp(min=0) * (there.unsqueeze(1) & there)
    behind = (gaps > 0).sum(1)
    return gaps.sum(1) / behind.clamp(min=1), behind > 0


def _square(encoder: Sequence[nn.Parameter], like: Tensor) -> Tensor:
    """Return ``‖g‖²``, a scalar, of an encoder's gradients."""
    return sum((p.grad.square().sum().to(like) for p in encoder if p.grad is not None), like.new_zeros(()))
