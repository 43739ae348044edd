"""Prototypical Modal Rebalance (Fan et al., CVPR 2023, arXiv 2211.07089)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.discrepancy import discrepancy_ratios
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.state import Memory, UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class PMR(Balancer):
    """Pulls slow modalities towards their class prototypes, and keeps fast ones undecided early on.

    A prototype ``c_ik`` is the mean of modality ``i``'s representations of class ``k``; with the distances
    to them, ``p_i = softmax_k(-‖h_i - c_ik‖)`` is a classifier without parameters. With the batch's sum
    ``s_i`` of the probabilities of the truth, and the imbalance ratio ``ρ_i = s_i / mean_{j≠i} s_j``, the
    loss is

        ``L = L_task + α Σ_i clip(1/ρ_i - 1, 0, 1) CE(p_i) - μ Σ_i clip(ρ_i - 1, 0, 1) H(p_i)``

    where ``CE`` is the cross-entropy and ``H`` is the entropy; ``H`` acts only in the first part of the
    training. The paper has two modalities, for which ``ρ_i`` is the ratio of the two sums; the mean over the
    others is the generalisation here. It reads the representations alone, so any fusion will do. For
    classification.

    The authors compute prototypes before each epoch, in an extra pass over a tenth of the training set.
    Here they are running means over the last updates, which cost no pass; a class without a prototype yet
    is left out. The authors' code has neither the entropy nor the clipped coefficients: the slowest
    modality gets α, the other zero.

    Over several processes, ratios and prototypes are taken over the union of the batches.

    Args:
        alpha: α; the authors' scripts have 0.5 to 5, and 2 for a concatenation.
        mu: μ; zero does without the entropy.
        entropy_until: Fraction of the training in which the entropy counts.
        momentum: Decay of a prototype at each update that sees its class: ``1 / (1 - momentum)`` updates
            count. A tenth of an epoch is the authors' choice.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = acting_on('loss', alone=False)
    # Sums of representations (K, C_i) by class, of each modality, and last the classes' counts (K, 1).
    class_sums = UpdateSum()
    prototypes = Memory()  # the same over all updates; older ones weigh less
    scores = UpdateSum()  # s (M,)

    def __init__(
        self, alpha: float = 2.0, mu: float = 0.01, entropy_until: float = 0.1, momentum: float = 0.9
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

    def observe(self, seen: Pass) -> None:
        """Add up representations by class.

        Raises:
            ValueError: If the batch lacks a modality.
        """
        vectors = self._vectors(seen)
        # What is not finite would stay in a prototype for good.
        finite = torch.stack([v.isfinite().all(1) for v in vectors]).all(0)
        self.count_event('representation not finite, left out of the prototypes', ~finite.all())
        classes = F.one_hot(seen.labels(), len(seen.head_weight)).to(vectors[0]) * finite.unsqueeze(1)
        sums = [classes.T @ torch.nan_to_num(v.detach(), 0, 0, 0) for v in vectors]
        self.class_sums.add([*sums, classes.sum(0).unsqueeze(1)])

    def loss_term(self, seen: Pass) -> Tensor:
        """Return the term of the prototypes."""
        vectors, labels = self._vectors(seen), seen.labels()
        *sums, counts = self.prototypes or _zeros(self.class_sums.total)
        known = counts.squeeze(1) > 0
        found, entropies = [], []
        for vector, class_sums in zip(vectors, sums, strict=True):
            distances = torch.cdist(vector, class_sums / counts.clamp(min=1))
            # Not infinity, of which the entropy would make NaN.
            logits = (-distances).masked_fill(~known, torch.finfo(distances.dtype).min / 2)
            logs = logits.log_softmax(1)
            found.append(logs.gather(1, labels.unsqueeze(1)).squeeze(1))
            entropies.append(-(logs.exp() * logs).sum(1))
        truth, counted = torch.stack(found), known[labels]  # (M, N) and (N,)
        self.scores.add((truth.detach().exp() * counted).sum(1))
        slow, fast = pmr_coefficients(self.scores.total)
        self.stats = {'score': self.scores.total, 'slow': slow, 'fast': fast}
        # Means over all N samples, so that the processes' means average to that of the union.
        term = self.alpha * (slow @ -truth.where(counted, 0).mean(1))
        if self.mu == 0 or self.clock.progress >= self.entropy_until:
            return term
        return term - self.mu * (fast @ torch.stack(entropies).where(counted, 0).mean(1))

    def end_update(self) -> None:
        """Move the prototypes."""
        new = self.class_sums.total
        pairs = zip(self.prototypes or _zeros(new), new, strict=True)
        self.prototypes = [torch.where(new[-1] > 0, self.momentum * a + b, a) for a, b in pairs]

    @staticmethod
    def _vectors(seen: Pass) -> list[Tensor]:
        vectors = [v.to(torch.promote_types(v.dtype, torch.float32)) for v in seen.vectors() if v is not None]
        if len(vectors) < len(seen.guide_weights):
            raise ValueError('PMR compares the modalities of each sample, but the batch lacks one of them.')
        return vectors


def _zeros(tensors: list[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(tensor) for tensor in tensors]


def pmr_coefficients(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``clip(1/ρ_i - 1, 0, 1)`` and ``clip(ρ_i - 1, 0, 1)``, ``(M,)``, for scores ``(M,)``."""
    ratios = discrepancy_ratios(scores)
    return (1 / ratios - 1).clamp(0, 1), (ratios - 1).clamp(0, 1)
