"""Adaptive Mask Co-optimization (Zhou et al., ICASSP 2023, doi 10.1109/ICASSP49357.2023.10096641)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import (
    Change,
    Pass,
    SampleChange,
    change_of,
    sample_logits,
    sum_of_present,
)
from mmcggm.balancers.state import Memory, UpdateSum
from mmcggm.balancers.training import Training
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class AMCo(Balancer):
    """Masks features of the modality that leads, and masks more of them as training goes on.

    With the logits ``z_i`` of modality ``i``, its share of the batch is the mean over samples of

        ``q_i = Σ_c exp z_ic / Σ_k Σ_c exp z_kc``

    If it exceeds σ, a part ``ρ = sin(π/2 · min(t, ε) / ε)`` of the modality's features, drawn anew for
    each batch, is zero in the next step. The losses of the modalities alone are added to the loss of the
    task, so that a masked encoder goes on learning (co-optimization).

    The paper has three modalities and is not freely available; the terms are those of BalanceBenchmark
    (arXiv 2502.10816), also for two. There the mask is on the modality's part of the fused logits, and
    ``t`` grows by a tenth of the epoch's number with each batch and restarts with each epoch, which
    masks everything from the third batch on; here the mask is on the channels of the representation, so
    that any fusion will do, and ``t`` is the fraction of training that is done. As there, the share of a
    modality under a mask is measured with as large a part of its logits at zero, so it is not masked for
    good. Samples that have masked modalities alone keep them. For classification with one label a sample.

    Args:
        sigma: σ, in [1 / M, 1). At most one modality exceeds a half, the published value; below 1 / M equal
            shares would mask all of them, and go on doing so.
        eps: ε, in (0, 1]: the fraction of training after which everything is masked.

    Raises:
        ValueError: If an argument is out of its range; for σ below 1 / M when it is attached to a training.
    """

    needs = acting_on('representations', 'loss', alone=False)
    shares = UpdateSum()  # of the modalities, and the samples, (M + 1,)
    masked = Memory()  # which modalities are, bool (M,)

    def __init__(self, sigma: float = 0.5, eps: float = 0.3) -> None:
        super().__init__()
        if not 0 < sigma < 1 or not 0 < eps <= 1:
            raise ValueError(f'AMCo needs 0 < sigma < 1 and 0 < eps <= 1, got sigma={sigma} and eps={eps}.')
        self.sigma = sigma
        self.eps = eps

    def attach(self, training: Training) -> None:
        count = len(training.modalities)
        if self.sigma < 1 / count:
            raise ValueError(
                f'AMCo has sigma={self.sigma}, which is below 1 / {count}: equal shares of the {count} '
                'modalities would all exceed it, and all would be masked from then on. Set '
                f'`optim_wrapper.balancer.sigma` to at least 1 / {count}; 0.5 is the published value.'
            )
        super().attach(training)

    @property
    def part(self) -> float:
        """ρ."""
        return math.sin(math.pi / 2 * min(self.clock.progress, self.eps) / self.eps)

    def changes(self) -> Mapping[int, Change]:
        if self.masked is None:
            return {}
        return {i: SampleChange(partial(self._mask, index=i)) for i in range(len(self.masked))}

    def observe(self, seen: Pass) -> None:
        """Add up the shares; those of a modality under a mask with as large a part of its logits at zero."""
        found = [None if z is None else sample_logits(z.detach()) for z in seen.predictions()]
        changes, present = self.pass_changes(), seen.present()
        logits = [
            z if z is None or i not in changes else change_of(changes[i], z, present)
            for i, z in enumerate(found)
        ]
        samples = seen.task_loss.new_tensor([len(seen.labels())])
        self.shares.add(torch.cat([shares(logits).sum(1), samples]))

    def loss_term(self, seen: Pass) -> Tensor:
        """Return the losses of the modalities alone."""
        return sum_of_present(seen.unimodal_losses())

    def end_update(self) -> None:
        """Decide which modalities are masked in the next step."""
        sums = self.shares.total
        share = sums[:-1] / sums[-1]
        self.masked = share > self.sigma
        self.stats = {'share': share, 'masked': self.masked.float() * self.part}

    def _mask(self, x: Tensor, present: Tensor | None, index: int) -> Tensor:
        """Mask a modality, but in samples that have no other than masked ones."""
        where = self.masked[index]
        if present is not None:
            where = where.to(x.device) & (present.to(x.device) & ~self.masked.to(x.device)).any(1)
        return mask_features(x, where, self.part)


def shares(logits: Sequence[Tensor | None]) -> Tensor:
    """Return ``q`` ``(M, N)`` of logits ``(N, C)``; zero for a modality that has none."""
    nothing = next(z for z in logits if z is not None).new_full((1, 1), -torch.inf)
    sizes = [(nothing if z is None else z).logsumexp(1) for z in logits]
    return torch.stack(torch.broadcast_tensors(*sizes)).softmax(0)


def mask_features(tensor: Tensor, where: Tensor, part: float) -> Tensor:
    """Return ``tensor`` ``(N, ...)`` with a random ``part`` of its channels at zero where ``where`` is true.

    That is a scalar, or ``(N,)``, for each sample.

    Channels are the second axis of maps, the last of sequences and vectors; what has one axis stays.
    """
    if tensor.ndim < 2:
        return tensor
    axis = 1 if tensor.ndim > 3 else tensor.ndim - 1
    channels = tensor.shape[axis]
    masked = torch.randperm(channels, device=tensor.device) < int(part * channels)
    shape = [channels if i == axis else 1 for i in range(tensor.ndim)]
    rows = where.to(tensor.device).view(-1, *[1] * (tensor.ndim - 1))
    return tensor.masked_fill(masked.view(shape) & rows, 0)
