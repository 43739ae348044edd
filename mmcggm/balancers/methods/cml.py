"""Calibrating Multimodal Learning (Ma et al., ICML 2023, arXiv 2306.01265)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Change, Pass, SampleChange, sample_logits, sum_of_present
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class CML(Balancer):
    """Punishes a model that grows more confident when a modality is taken from it.

    Modalities are removed one by one in random order; samples that have nothing else keep theirs. With
    ``S_0`` all of them, ``S_k`` what is left after ``k``, and the probability ``Conf`` of the
    predicted class, the loss is

        ``(1/M) Σ_{k=0}^{M-1} L(S_k) + λ Σ_{k=1}^{M-1} mean_n max(0, Conf_n(S_k) - Conf_n(S_{k-1}))``

    A sample that is right only once the modality is gone is let off, as in the authors' code.

    The paper has any number of modalities; a random chain stands for all nested pairs of subsets, and
    the losses of the chain are averaged, as in BalanceBenchmark (arXiv 2502.10816). There a modality goes
    by its part of the fused linear layer; here it is zero on its way into fusion, so that any fusion will
    do. The penalty is a mean over samples where the authors' code has a sum, so that λ does not depend on
    the batch. Confidences are compared in evaluation mode, since dropout would disturb them. For
    classification with one label a sample.

    A step costs ``M`` more forward passes.

    Args:
        lam: λ, not negative.

    Raises:
        ValueError: If ``lam`` is negative.
    """

    needs = acting_on('loss', alone=False, reruns=True)

    def __init__(self, lam: float = 1.0) -> None:
        super().__init__()
        if lam < 0:
            raise ValueError(f'CML needs lam >= 0, got {lam}.')
        self.lam = lam

    def loss_term(self, seen: Pass) -> Tensor:
        labels = seen.labels()
        order = torch.randperm(len(self.modalities)).tolist()
        chain = [seen.rerun(removing(order[:removed], order[removed:])) for removed in range(len(order))]
        rises = torch.stack(
            [confidence_rises(after.output, before.output, labels) for before, after in pairwise(chain)]
        )
        self.stats = {'rise': rises.detach().mean(), 'rises': (rises > 0).float().mean()}
        fused = seen.task_loss
        partial = sum_of_present(less.task_loss for less in chain[1:])
        return (fused + partial) / len(chain) - fused + self.lam * rises.mean(1).sum()


def removing(removed: Sequence[int], kept: Sequence[int]) -> dict[int, Change]:
    """Return the changes that remove modalities from the samples that have one of the ``kept``."""

    def remove(x: Tensor, present: Tensor | None) -> Tensor:
        if present is None:
            return torch.zeros_like(x)
        others = present[:, list(kept)].any(1).to(x.device)
        return x.masked_fill(others.view(-1, *[1] * (x.ndim - 1)), 0)

    return dict.fromkeys(removed, SampleChange(remove))


def confidence_rises(after: Tensor, before: Tensor, labels: Tensor) -> Tensor:
    """Return ``max(0, Conf(after) - Conf(before))`` ``(N,)``, zero where ``after`` mends the prediction.

    Args:
        after: Logits ``(N, C, *)`` without the modality.
        before: The same with it.
        labels: ``(N,)``.
    """
    (new, new_class), (old, old_class) = (sample_logits(z).softmax(1).max(1) for z in (after, before))
    mended = (new_class == labels) & (old_class != labels)
    return F.relu(new - old).masked_fill(mended, 0)
