"""MIDAS: misaligned samples (Hwang, Choi & Whang, NeurIPS 2025, arXiv 2509.25831)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.fusion_alone import fused_again
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sample_logits
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MIDAS(Balancer):
    """Also trains on samples one of whose modalities comes from a sample of another class.

    In each pass one modality ``m`` is drawn, and each sample ``n`` that has it gets a partner ``q(n)`` of
    another class of the batch that has it too, whose representation takes the place of its own. The label of
    that misaligned sample is shared by what the guides are sure of:

        ``L = L_task + λ mean_n v_n Σ_i u_i,n CE(p̃_n, y_i,n)``,  ``u_i,n = c_i,n / Σ_k c_k,n``

    where ``p̃_n`` is the fused prediction, ``y_i,n`` the label of the sample that modality ``i`` comes
    from, and ``c_i,n`` the probability that guide ``i`` gives it. A model that looks at its dominant
    modality alone can't be right about both labels. Two weights:

    - ``weak``: the least confident modality's ``u_i,n`` is raised to ``1 / M``, an equal share;
    - ``hard``: ``v_n = 1 + cos(f̃_n, f_n)`` where the fused feature ``f̃_n`` is like that of the aligned
      sample, since these are the ones hard to tell apart; otherwise ``v_n = 1``.

    With two modalities the label is the paper's ``c̃_1 y_n + c̃_2 y_q(n)``; that one of ``M`` is exchanged,
    and shares are of all their confidences, is the generalisation here. The exchange and its labels, which
    give most of the gain, are the paper's; of its two weights it is known here what they depend on, and
    these forms are our own. Its unimodal warm-up is that guides learn for a while before the first
    exchange; they are always detached, and :class:`MultiLoss` beside it lets encoders learn from them. What
    is exchanged are representations, within the batch of the process, and fusion is in evaluation mode
    then. An exchanged sequence keeps the padding of the sample it comes to. For classification with one
    label a sample; a batch that has one modality, or one class, adds nothing.

    Args:
        lam: λ, positive.
        warmup: Fraction of the training before the first exchange.
        weak: Whether the least confident modality weighs more.
        hard: Whether misaligned samples that look like aligned ones weigh more.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = acting_on('loss', alone=False, reruns=True)

    def __init__(self, lam: float = 1.0, warmup: float = 0.1, weak: bool = True, hard: bool = True) -> None:
        super().__init__()
        if lam <= 0 or not 0 <= warmup <= 1:
            raise ValueError(f'MIDAS needs lam > 0 and warmup in [0, 1], got lam={lam} and warmup={warmup}.')
        self.lam = lam
        self.warmup = warmup
        self.weak = weak
        self.hard = hard

    def loss_term(self, seen: Pass) -> Tensor | None:
        labels, confidences = seen.labels(), seen.confidences()
        there = [index for index, c in enumerate(confidences) if c is not None]
        if len(there) < 2 or self.clock.progress < self.warmup:
            return None
        chosen = there[int(torch.randint(len(there), ()))]
        partners, found = draw_partners(labels, seen.samples_with(chosen))
        present = seen.present()
        shares = label_shares(
            [c[partners] if i == chosen else c for i, c in enumerate(confidences) if c is not None],
            self.weak,
            None if present is None else present.T[there],
        )
        swapped = shares[there.index(chosen)]
        mixed = fused_again(seen, seen.representations(), {chosen: lambda h: h[partners]})
        logits = sample_logits(mixed.output)
        own = F.cross_entropy(logits, labels, reduction='none')
        other = F.cross_entropy(logits, labels[partners], reduction='none')
        losses = (shares.sum(0) - swapped) * own + swapped * other
        if self.hard:
            first, second = (p.head_input.detach().flatten(1).to(logits) for p in (mixed, seen))
            losses = losses * (1 + torch.cosine_similarity(first, second))
        self.stats = {'swapped_share': swapped.mean(), 'misaligned_loss': losses.detach().mean()}
        return self.lam * (losses * found).mean()


def draw_partners(labels: Tensor, there: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return for each sample one of another class, ``(N,)``, and whether there is any, bool ``(N,)``.

    Args:
        labels: ``(N,)``.
        there: Which samples have what is exchanged, bool ``(N,)``: partners are drawn for and from those.
            None if all have it.
    """
    different = labels.unsqueeze(1) != labels
    if there is not None:
        there = there.to(labels.device)
        different = different & there & there.unsqueeze(1)
    found = different.any(1)
    return torch.multinomial((different | ~found.unsqueeze(1)).float(), 1).squeeze(1), found


def label_shares(confidences: Sequence[Tensor], weak: bool, present: Tensor | None = None) -> Tensor:
    """Return ``u`` ``(M, N)`` for confidences ``(N,)``, if ``weak`` with the least raised to ``1 / M``.

    Args:
        confidences: Zero where a sample lacks the modality.
        weak: Whether the least is raised.
        present: Where it doesn't, bool ``(M, N)``: then the least, and M, are of those that the sample has.
            None if all have all.
    """
    stacked = torch.stack(list(confidences)).to(torch.promote_types(confidences[0].dtype, torch.float32))
    shares = stacked / stacked.sum(0).clamp(min=torch.finfo(stacked.dtype).tiny)
    if not weak:
        return shares
    present = torch.ones_like(shares, dtype=torch.bool) if present is None else present.to(shares.device)
    least = F.one_hot(shares.masked_fill(~present, torch.inf).argmin(0), len(shares)).T.bool() & present
    return torch.where(least, 1 / present.sum(0).clamp(min=1), shares)
