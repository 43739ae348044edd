"""Balanced learning against greediness (Wu et al., ICML 2022, arXiv 2202.05306)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Change, Pass
from mmcggm.balancers.state import Memory, UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class Greedy(Balancer):
    """Gives the modality that is learnt most slowly updates of its own.

    With the effective update ``μ(θ) = ‖∇θ‖² / ‖θ‖²`` of an update, the conditional learning speed of what
    reaches branch ``i`` from the other modalities, through parameters ``θ'_i``, is

        ``s_i = log10(Σ_t μ(θ'_i) / Σ_t μ(θ_i))``

    Where ``max_i s_i - min_i s_i > ε``, the next ``Q`` updates are only for the branch with the largest
    ``s_i``: its own modality is the slow one. Sums run over the other updates.

    Published for two modalities and for networks fused by MMTM, which have ``θ'_i``, and where such an
    update replaces the gates of the slow branch, all that it sees of the other modality, by their running
    mean. Here fusion is any: its parameters are everybody's ``θ'``, so they cancel in ``s_i - s_j``, and the
    slow modality is the one whose encoder has the smallest ``Σ_t μ(θ_i)``, among any number. In its updates,
    fusion sees the running mean of each other representation, over samples and positions. Their encoders
    get a gradient of zero, where the published branches go on learning. (Momentum and weight decay still
    move them.)

    The authors' code averages the gates of one branch for both, and needs one epoch before it starts,
    ``BalancingHook(begin=1)``. For any task. A mean is by channel: the last axis of vectors and
    sequences, the second of feature maps.

    Args:
        epsilon: ε, not negative.
        window: Q, at least 1.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = acting_on('representations')
    # Of each tensor of each representation, sums over samples and positions, and their number, (C + 1,).
    features = UpdateSum()
    totals = Memory()  # the same, of all updates
    effort = Memory(torch.zeros)  # Σ μ (M,)
    left = Memory(lambda count: torch.zeros((), dtype=torch.long))  # updates of the slow modality's own
    rests = Memory(lambda count: torch.zeros(count, dtype=torch.bool))  # which modalities rest in them

    def __init__(self, epsilon: float = 0.01, window: int = 5) -> None:
        super().__init__()
        if epsilon < 0 or window < 1:
            raise ValueError(
                f'Greedy needs epsilon >= 0 and window >= 1, got epsilon={epsilon} and window={window}.'
            )
        self.epsilon = epsilon
        self.window = window

    def changes(self) -> Mapping[int, Change]:
        """Return what replaces the representations of resting modalities by their mean."""
        if self.totals is None:
            return {}
        return {index: self._replacing(index) for index in range(len(self.modalities))}

    def observe(self, seen: Pass) -> None:
        """Add up features.

        Raises:
            ValueError: If the batch lacks a modality.
        """
        found = seen.representations()
        if any(tensors is None for tensors in found):
            raise ValueError('Greedy compares the modalities of each batch, but a batch lacks one of them.')
        self.features.add([[_sums(tensor) for tensor in tensors or ()] for tensors in found])

    def end_update(self) -> None:
        """Add up means and effective updates, and decide what the next update is for.

        Raises:
            ValueError: If an encoder has nothing to train.
        """
        updates = torch.stack(
            [_effective_update(i, parameters) for i, parameters in enumerate(self.encoders)]
        )
        finite = updates.isfinite().all()
        self.count_event('gradient not finite, left out of the learning speeds', ~finite)
        joint = self.left == 0
        effort = self.effort + updates.where(joint & finite, torch.zeros_like(updates))
        speeds = -effort.log10()
        start = joint & (speeds.max() - speeds.min() > self.epsilon) & self.active
        others = torch.arange(len(effort), device=effort.device) != speeds.argmax()
        left = torch.where(start, self.window, (self.left - 1).clamp(min=0))
        rests = torch.where(start, others, self.rests & (left > 0))
        self.stats = {'speed': speeds - speeds.mean(), 'rests': self.rests.to(updates)}
        self.effort = torch.where(finite, effort, self.effort)
        self.left = torch.where(finite, left, self.left)
        self.rests = torch.where(finite, rests, self.rests)
        self.totals = [
            [torch.where(finite, total + new, total) for total, new in zip(totals, news, strict=True)]
            for totals, news in zip(
                self.totals or _zeros(self.features.total), self.features.total, strict=True
            )
        ]

    def _replacing(self, index: int) -> Change:
        """Return the change of modality ``index``, of however many tensors, in their order."""
        totals = iter(self.totals[index])

        def change(x: Tensor) -> Tensor:
            total = next(totals).to(x.device)
            mean = (total[:-1] / total[-1]).to(x.dtype)
            mean = mean.view(-1, *[1] * (x.ndim - 2 if _channel_axis(x) == 1 else 0))
            # Both are computed, so that nothing is read on the host and every encoder stays in the graph.
            return torch.where(self.rests[index].to(x.device), mean, x)

        return change


def _channel_axis(x: Tensor) -> int:
    return -1 if x.ndim < 4 else 1


def _sums(x: Tensor) -> Tensor:
    """Return the sum over samples and positions by channel, and their number, ``(C + 1,)``."""
    channels = x.detach().movedim(_channel_axis(x), -1).flatten(0, -2)
    channels = channels.to(torch.promote_types(x.dtype, torch.float32))
    return torch.cat([channels.sum(0), channels.new_full((1,), len(channels))])


def _zeros(nested: list[list[Tensor]]) -> list[list[Tensor]]:
    return [[torch.zeros_like(tensor) for tensor in tensors] for tensors in nested]


def _effective_update(index: int, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return ``μ(θ) = ‖∇θ‖² / ‖θ‖²``, a scalar, of the parameters that have a gradient."""
    trained = [p for p in parameters if p.grad is not None]
    if not trained:
        raise ValueError(
            'Greedy compares how fast encoders learn, but that of modality '
            f'{index} is frozen or got no gradient.'
        )
    grads = torch.stack(torch._foreach_norm([p.grad for p in trained if p.grad is not None])).float()
    values = torch.stack(torch._foreach_norm([p.detach() for p in trained])).float()
    return grads.square().sum() / values.square().sum()
