"""On-the-fly Prediction Modulation (Wei et al., TPAMI 2024, arXiv 2410.11582)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.discrepancy import discrepancy_ratios, share_sums
from mmcggm.balancers.dropping import dropping
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Change, Pass
from mmcggm.balancers.state import Memory, UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class OPM(Balancer):
    """Drops the representation of the modality that predicts better, so that fusion must use the others.

    With OGM's discrepancy ratio ``r_i``, sample by sample the representation of modality ``i`` becomes
    zero on its way into fusion, with probability

        ``q_i = q_base (1 + λ tanh(r_i - 1))`` (at most 1) if ``r_i > 1``, else 0

    and all that is kept grows by ``1 / (1 - mean_i q_i)``. It happens in a fraction ``p_exe`` of the passes.

    Published for two modalities; as in :class:`OGM`, ``r_i`` compares with the mean over the others. So
    one of them always has ``q_i = 0``, and no sample loses everything: one that lacks just this modality
    keeps one of those that it has, drawn evenly. The authors' code finds ``r_i`` in the same pass, from the
    fused linear layer, split by modality; here the last update gives it: by that split where fusion up to the
    head's output is affine, elsewhere by the guides, so that any fusion will do. It weights ``mean_i q_i`` by
    the sizes of the representations, which it has equal. For tasks with probabilities.

    The authors' code leaves the first 6 of 100 epochs alone: ``BalancingHook(begin=...)``.

    Args:
        q_base: Probability at which dropping starts, in (0, 1].
        lam: λ, how much it grows with the discrepancy, not negative.
        p_exe: Fraction of the passes in which anything is dropped, in (0, 1].

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = acting_on('representations')
    confidence = UpdateSum()
    q = Memory()

    def __init__(self, q_base: float = 0.5, lam: float = 0.5, p_exe: float = 0.7) -> None:
        super().__init__()
        if not 0 < q_base <= 1 or not 0 < p_exe <= 1:
            raise ValueError(f'OPM needs q_base and p_exe in (0, 1], got {q_base} and {p_exe}.')
        if lam < 0:
            raise ValueError(f'OPM needs lam >= 0, got {lam}.')
        self.q_base = q_base
        self.lam = lam
        self.p_exe = p_exe

    def changes(self) -> Mapping[int, Change]:
        """Return what drops and scales, or nothing: before the first update, and as ``p_exe`` has it."""
        if self.q is None or torch.rand(()).item() >= self.p_exe:
            return {}
        return dropping(self.q, 1 / (1 - self.q.mean()))

    def observe(self, seen: Pass) -> None:
        self.confidence.add(share_sums(seen))

    def end_update(self) -> None:
        """Take the probabilities for the passes of the next update."""
        sums = self.confidence.total
        self.q = opm_probabilities(sums, self.q_base, self.lam)
        self.stats = {'q': self.q, 'confidence': sums}


def opm_probabilities(sums: Tensor, q_base: float, lam: float) -> Tensor:
    """Return ``q`` ``(M,)`` for the sums ``(M,)`` of the probabilities that the truth is given."""
    ratios = discrepancy_ratios(sums)
    q = (q_base * (1 + lam * torch.tanh(ratios - 1))).clamp(max=1)
    # With a margin for rounding, so that equal modalities are not all dropped.
    return torch.where(ratios > 1 + 1e-5, q, torch.zeros_like(q))
