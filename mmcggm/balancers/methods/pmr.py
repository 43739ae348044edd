"""Prototypical Modal Rebalance (Fan et al., CVPR 2023, arXiv 2211.07089)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer, GuidedStep, over_processes, present
from mmcggm.balancers.discrepancy import discrepancy_ratios
from mmcggm.balancers.overflow import in_effect
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class PMR(Balancer):
    """Pulls slow modalities towards their class prototypes, and keeps fast ones undecided early on.

    A prototype ``c_ik`` is the mean of modality ``i``'s representations of class ``k``; with the distances
    to them, ``p_i = softmax_k(-‖h_i - c_ik‖)`` is a classifier without parameters. With the batch's sum
    ``s_i`` of the probabilities of the truth, and the imbalance ratio ``ρ_i = s_i / mean_{j≠i} s_j``, the
    loss is

        ``L = L_task + α Σ_i clip(1/ρ_i - 1, 0, 1) CE(p_i) - μ Σ_i clip(ρ_i - 1, 0, 1) H(p_i)``

    where ``CE`` is the cross-entropy, and ``H`` the entropy, in the first part of the training alone. The
    paper has two modalities, for which ``ρ_i`` is the ratio of the two sums; the mean over the others is
    the generalisation here. It reads the representations alone, so any fusion will do. For classification.

    The authors compute prototypes before each epoch, in an extra pass over a tenth of the training set.
    Here they are running means over the last updates, which cost no pass; a class without a prototype yet
    is left out. The authors' code has neither the entropy nor the clipped coefficients: the slowest
    modality gets α, the other zero.

    Over several processes, ratios and prototypes are those of the union of the batches.

    Args:
        alpha: α; the authors' scripts have 0.5 to 5, and 2 for a concatenation.
        mu: μ; zero does without the entropy.
        entropy_until: Fraction of the training in which the entropy counts.
        momentum: Decay of a prototype at each update that sees its class: ``1 / (1 - momentum)`` updates
            count. A tenth of an epoch is the authors' choice.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        alpha: float = 2.0,
        mu: float = 0.01,
        entropy_until: float = 0.1,
        momentum: float = 0.9,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        if alpha < 0 or mu < 0:
            raise ValueError(f'PMR needs alpha >= 0 and mu >= 0, got alpha={alpha} and mu={mu}.')
        if not 0 <= momentum < 1:
            raise ValueError(f'PMR needs 0 <= momentum < 1, got {momentum}.')
        self.alpha = alpha
        self.mu = mu
        self.entropy_until = entropy_until
        self.momentum = momentum
        self.process_group = process_group
        # Sums of representations (K, C_i) by class, of each modality, and the classes' counts (K, 1); older
        # updates weigh less.
        self._sums: list[Tensor] = []
        # Of the update under way:
        self._new_sums: list[Tensor] = []
        self._scores: Tensor | None = None

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Observe the representations; return the term of the prototypes.

        Raises:
            ValueError: If the batch lacks a modality.
        """
        found = present(step.guided_pass, self)
        vectors, labels = found.vectors(), found.labels()
        if any(vector is None for vector in vectors):
            raise ValueError('PMR compares the modalities of each sample, but the batch lacks one of them.')
        vectors = [v.to(torch.promote_types(v.dtype, torch.float32)) for v in vectors]
        classes = F.one_hot(labels, len(step.head_weight)).to(vectors[0])
        self._observe([v.detach() for v in vectors], classes)
        return self._term(vectors, labels) if self.active else None

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        """Move the prototypes."""
        new, self._new_sums, self._scores = self._new_sums, [], None
        seen = in_effect(new[-1] > 0, overflow)
        pairs = zip(self._sums, new, strict=True)
        self._sums = [torch.where(seen, self.momentum * a + b, a) for a, b in pairs]

    def state_dict(self) -> dict[str, Any]:
        return {'sums': self._sums}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sums = list(state_dict['sums'])
        self._new_sums, self._scores = [], None

    def _observe(self, vectors: list[Tensor], classes: Tensor) -> None:
        """Add representations ``(N, C_i)`` of ``classes`` ``(N, K)``, one-hot, to this update's sums."""
        # What is not finite would stay in a prototype for good.
        finite = torch.stack([v.isfinite().all(1) for v in vectors]).all(0)
        self.count_event('representation not finite, left out of the prototypes', ~finite.all())
        classes = classes * finite.unsqueeze(1)
        sums = [*(classes.T @ torch.nan_to_num(v, 0, 0, 0) for v in vectors), classes.sum(0).unsqueeze(1)]
        sums = [over_processes(x, self.process_group) for x in sums]
        zeros = [torch.zeros_like(x) for x in sums]
        self._sums = [x.to(zero) for x, zero in zip(self._sums or zeros, zeros, strict=True)]
        self._new_sums = [a + b for a, b in zip(self._new_sums or zeros, sums, strict=True)]

    def _term(self, vectors: list[Tensor], labels: Tensor) -> Tensor:
        """Return what is added to the loss for representations ``(N, C_i)`` of ``labels`` ``(N,)``."""
        *sums, counts = self._sums
        known = counts.squeeze(1) > 0
        truth, entropies = [], []
        for vector, class_sums in zip(vectors, sums, strict=True):
            distances = torch.cdist(vector, class_sums / counts.clamp(min=1))
            # Not infinity, of which the entropy would make NaN.
            logits = (-distances).masked_fill(~known, torch.finfo(distances.dtype).min / 2)
            logs = logits.log_softmax(1)
            truth.append(logs.gather(1, labels.unsqueeze(1)).squeeze(1))
            entropies.append(-(logs.exp() * logs).sum(1))
        truth, counted = torch.stack(truth), known[labels]  # (M, N) and (N,)
        scores = over_processes((truth.detach().exp() * counted).sum(1), self.process_group)
        self._scores = scores if self._scores is None else self._scores + scores
        slow, fast = pmr_coefficients(self._scores)
        self.stats = {'score': self._scores, 'slow': slow, 'fast': fast}
        # Means over all N samples, so that the processes' means average to that of the union.
        term = self.alpha * (slow @ -truth.where(counted, 0).mean(1))
        if self.mu == 0 or self.training_progress >= self.entropy_until:
            return term
        return term - self.mu * (fast @ torch.stack(entropies).where(counted, 0).mean(1))


def pmr_coefficients(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``clip(1/ρ_i - 1, 0, 1)`` and ``clip(ρ_i - 1, 0, 1)``, ``(M,)``, for scores ``(M,)``."""
    ratios = discrepancy_ratios(scores)
    return (1 / ratios - 1).clamp(0, 1), (ratios - 1).clamp(0, 1)
