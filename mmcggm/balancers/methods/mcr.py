"""Multimodal Competition Regularizer, MCR (Kontras et al., NeurIPS 2025, arXiv 2411.07335)."""

from __future__ import annotations

from functools import partial
from itertools import permutations
from math import log

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.fusion_alone import carried, fused_again, leaves_of
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Pass, sample_logits, sum_of_present
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MCR(Balancer):
    """Makes each modality matter to the prediction, and compete for it with the others.

        ``L = L_task + λ_uni Σ_i L_i + λ_con L_con``, and encoder ``i`` also descends
        ``λ_M (∂D_i/∂θ_i + k mean_{j≠i} ∂D_j/∂θ_i)``,  ``D_i = -mean_n JSD( p(y|z) , p(y|z̃_i) )``

    with the loss ``L_i`` of guide ``i``, and the Jensen-Shannon divergence, in nats, of the fused
    prediction from what it is with the representations of modality ``i`` permuted among those samples of
    the batch that have it (``z̃_i``). An encoder raises what permuting its own modality changes, and with
    ``k < 0`` lowers what permuting the others does: they compete; with ``k > 0`` they collaborate.
    ``L_con`` is a supervised contrastive loss between modalities: a sample's representation in one, and
    those of all samples of its class in another, are to be similar; the mean over ordered pairs of
    modalities. Their gradients go to encoders alone.

    With two modalities it is the paper's; for more, means over the others and over pairs are the choice
    here, so that ``k`` and weights mean the same. The paper reruns fusion as well, and not the encoders;
    here that is in evaluation mode, and the other prediction is rerun likewise, so that dropout is not
    taken for an effect. This is the paper's text; its code was not seen. Representations are contrasted as
    vectors averaged over positions, which must have one width: without, set ``lam_con=0``. A permuted
    sequence keeps the padding of the sample it comes to. Permutations and negatives are those of the
    process. For classification with one label a sample; a modality that the batch lacks is left out.

    A step costs ``M + 1`` more forward passes and ``M`` backward passes through fusion.

    Args:
        lam_uni: λ_uni, not negative.
        lam_mipd: λ_M, not negative.
        lam_con: λ_con, not negative.
        k: What the others' terms count for, in [-1, 1].
        temperature: Of the contrastive loss, positive.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        lam_uni: float = 1.0,
        lam_mipd: float = 1.0,
        lam_con: float = 1.0,
        k: float = -1.0,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        if min(lam_uni, lam_mipd, lam_con) < 0 or not -1 <= k <= 1 or temperature <= 0:
            raise ValueError(
                'MCR needs lam_uni, lam_mipd and lam_con >= 0, -1 <= k <= 1 and temperature > 0, got '
                f'{lam_uni}, {lam_mipd}, {lam_con}, {k} and {temperature}.'
            )
        self.needs = acting_on('loss', alone=False, reruns=lam_mipd > 0)
        self.lam_uni = lam_uni
        self.lam_mipd = lam_mipd
        self.lam_con = lam_con
        self.k = k
        self.temperature = temperature

    def loss_term(self, seen: Pass) -> Tensor | None:
        labels = seen.labels()
        terms = []
        if self.lam_uni > 0:
            terms.append(self.lam_uni * sum_of_present(seen.unimodal_losses()))
        if self.lam_mipd > 0:
            order = torch.randperm(len(labels)).to(labels.device)
            terms.append(self.lam_mipd * self._competition(seen, order))
        vectors = [v.to(torch.promote_types(v.dtype, torch.float32)) for v in seen.vectors() if v is not None]
        if self.lam_con > 0 and len(vectors) > 1:
            pairs = [supervised_contrast(a, b, labels, self.temperature) for a, b in permutations(vectors, 2)]
            terms.append(self.lam_con * sum_of_present(pairs) / len(pairs))
        return sum_of_present(terms) if terms else None

    def _competition(self, seen: Pass, order: Tensor) -> Tensor:
        """Return ``Σ_i D_i``, whose gradient goes to the encoders as said above."""
        leaves = leaves_of(seen)
        there = {index: tensors for index, tensors in enumerate(leaves) if tensors is not None}
        whole = fused_again(seen, leaves).output
        orders = {i: order_among(order, seen.samples_with(i)) for i in there}
        permuting = {i: partial(_permuted, order=order) for i, order in orders.items()}
        found = [
            -prediction_shift(whole, fused_again(seen, leaves, {i: change}).output)
            for i, change in permuting.items()
        ]
        self.stats = {'shift': -torch.stack([d.detach() for d in found]).mean()}
        owners = [i for i, tensors in there.items() for _ in tensors]
        flat = [leaf for tensors in there.values() for leaf in tensors]
        share = self.k / max(len(there) - 1, 1)
        total = [torch.zeros_like(leaf) for leaf in flat]
        for i, divergence in zip(there, found, strict=True):
            for flow, owner, grad in zip(total, owners, seen.gradients(divergence, flat), strict=True):
                flow += grad if owner == i else share * grad
        rest = iter(total)
        flows = [None if tensors is None else [next(rest) for _ in tensors] for tensors in leaves]
        return carried(seen, sum_of_present(found), flows)


def order_among(order: Tensor, there: Tensor | None) -> Tensor:
    """Return a permutation ``(N,)`` of those samples alone that are ``there``, in their ``order``."""
    if there is None:
        return order
    there = there.to(order.device)
    return torch.arange(len(order), device=order.device).masked_scatter(there, order[there[order]])


def _permuted(x: Tensor, order: Tensor) -> Tensor:
    return x[order]


def prediction_shift(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean Jensen-Shannon divergence in nats, a scalar, of two outputs, logits ``(N, K, *)``."""
    logs = torch.stack([sample_logits(first), sample_logits(second)]).log_softmax(2)
    mixed = torch.logaddexp(*logs) - log(2)
    return (logs.exp() * (logs - mixed)).sum(2).mean(1).mean()


def supervised_contrast(first: Tensor, second: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss, a scalar, of ``first`` against ``second``, both ``(N, C)``.

    The mean over samples ``n`` of ``first`` of ``-mean_{p: y_p = y_n} log softmax(cos(first_n, second) /
    T)_p``.

    Raises:
        ValueError: If the two differ in width.
    """
    if first.shape != second.shape:
        raise ValueError(
            'MCR contrasts representations of modalities by their cosines, which needs one width, but got '
            f'{first.shape[1]} and {second.shape[1]} channels: give the encoders one, or set '
            '`optim_wrapper.balancer.lam_con=0`.'
        )
    logs = (F.normalize(first) @ F.normalize(second).T / temperature).log_softmax(1)
    same = (labels.unsqueeze(1) == labels).to(logs)
    return -((logs * same).sum(1) / same.sum(1)).mean()
