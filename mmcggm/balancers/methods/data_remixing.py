"""Data Remixing (Ma, Chen & Deng, ICML 2025, arXiv 2506.11550)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.fusion_alone import fused_again
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sample_logits, sum_of_present
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class DataRemixing(Balancer):
    """Gives each sample to the one of its modalities that is least sure of it, which alone learns from it.

    With the prediction ``p_i,n`` of guide ``i``, sample ``n`` belongs to the modality of least ``KL(p_i,n ‖
    uniform)``, that is of the highest entropy. In its place fusion gets zero from all others, and

        ``L = mean_n ( CE_fused,n + γ CE_i(n),n )``

    with the loss ``CE_i`` of guide ``i``, whose gradient reaches the encoder. Before, in a warm-up, all
    modalities learn from all samples: ``L_task + α Σ_i L_i``.

    Published for two modalities, for which and for ``M`` this is the same. Two things differ from the
    authors' code. It divides the data set once an epoch, in evaluation mode; here each batch is divided as
    it comes, so that samples need no names. And its batches have samples of one modality alone, first all
    of one, then all of the other, which a method that sees batches that a loader has made can't have: here
    a batch mixes them. No encoder gets a sample of another's all the same, but steps of fusion serve all
    modalities at once. Fusion is in evaluation mode where samples are divided; guides, detached, learn from
    all samples. The loss replaces the fused model's, so no other method may change it. For classification
    with one label a sample.

    Args:
        gamma: γ, not negative; 1 in the authors' code.
        alpha: α of the warm-up, not negative; 0.5 there.
        warmup: Fraction of the training before samples are divided; 10 of 60 epochs there.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = acting_on('loss', reruns=True)

    def __init__(self, gamma: float = 1.0, alpha: float = 0.5, warmup: float = 1 / 6) -> None:
        super().__init__()
        if gamma < 0 or alpha < 0 or not 0 <= warmup <= 1:
            raise ValueError(
                f'DataRemixing needs gamma >= 0, alpha >= 0 and warmup in [0, 1], got gamma={gamma}, '
                f'alpha={alpha} and warmup={warmup}.'
            )
        self.gamma = gamma
        self.alpha = alpha
        self.warmup = warmup

    def loss_term(self, seen: Pass) -> Tensor:
        """Return what makes the task's loss that of the warm-up, or of the divided samples."""
        labels = seen.labels()
        if self.clock.progress < self.warmup:
            return self.alpha * sum_of_present(seen.unimodal_losses())
        logits = [None if z is None else sample_logits(z) for z in seen.predictions()]
        owned = owners(logits, seen.present())
        self.stats = {'share': owned.float().mean(1)}
        keeping = {i: partial(_kept, rows=rows) for i, rows in enumerate(owned)}
        fused = fused_again(seen, seen.representations(), keeping).task_loss
        own = sum_of_present(
            None if z is None else (F.cross_entropy(z, labels, reduction='none') * rows).mean()
            for z, rows in zip(logits, owned, strict=True)
        )
        return fused + self.gamma * seen.at_encoders(own) - seen.task_loss


def owners(logits: Sequence[Tensor | None], present: Tensor | None = None) -> Tensor:
    """Return which modality each sample belongs to: bool ``(M, N)``, one true in each column.

    Args:
        logits: Of the guides, ``(N, K)``, or None.
        present: Which modalities each sample has, bool ``(N, M)``; None if all have all.
    """
    found = [z for z in logits if z is not None]
    nothing = found[0].new_full((len(found[0]),), -torch.inf)
    entropies = torch.stack([nothing if z is None else _entropy(z.detach()) for z in logits])
    if present is not None:
        entropies = entropies.masked_fill(~present.T.to(entropies.device), -torch.inf)
    return F.one_hot(entropies.argmax(0), len(logits)).T.bool()


def _entropy(logits: Tensor) -> Tensor:
    logs = logits.log_softmax(1)
    return -(logs.exp() * logs).sum(1)


def _kept(x: Tensor, rows: Tensor) -> Tensor:
    """Return ``x`` ``(N, *)`` with zeros but in ``rows``, bool ``(N,)``."""
    return x * rows.to(x).view(-1, *[1] * (x.ndim - 1))
