"""Balanced learning against greediness (Wu et al., ICML 2022, arXiv 2202.05306)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer, over_processes
from mmcggm.balancers.overflow import in_effect
from mmcggm.balancers.pass_record import Change
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class Greedy(Balancer):
    """Gives the modality that is learnt most slowly updates of its own.

    With the effective update ``μ(θ) = ‖∇θ‖² / ‖θ‖²`` of an update, the conditional learning speed of what
    reaches branch ``i`` from the other modalities, through parameters ``θ'_i``, is

        ``s_i = log10(Σ_t μ(θ'_i) / Σ_t μ(θ_i))``

    Where ``max_i s_i - min_i s_i > ε``, the next ``Q`` updates are for the branch of the largest ``s_i``
    alone, whose own modality is the slow one. Sums run over the other updates.

    Published for two modalities and for networks fused by MMTM, which have ``θ'_i``, and where such an
    update replaces the gates of the slow branch, all that it sees of the other modality, by their running
    mean. Here fusion is any: its parameters are everybody's ``θ'``, so they cancel in ``s_i - s_j``, and the
    slow modality is that of the encoder with the smallest ``Σ_t μ(θ_i)``, of any number; in its updates,
    fusion sees the running mean over samples and positions of each other representation. Their encoders
    get a gradient of zero, where the published branches go on learning. (Momentum and weight decay still
    move them.)

    The authors' code averages the gates of one branch for both, and needs one epoch before it starts:
    ``CGGMHook(begin=1)``. For any task. A mean is by channel: the last axis of vectors and sequences, the
    second of feature maps.

    Args:
        epsilon: ε, not negative.
        window: Q, at least 1.
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self, epsilon: float = 0.01, window: int = 5, process_group: dist.ProcessGroup | None = None
    ) -> None:
        super().__init__()
        if epsilon < 0 or window < 1:
            raise ValueError(
                f'Greedy needs epsilon >= 0 and window >= 1, got epsilon={epsilon} and window={window}.'
            )
        self.epsilon = epsilon
        self.window = window
        self.process_group = process_group
        # Σ μ (M,), how many updates of the slow modality are left, and whether a modality rests (M,) in them.
        self._committed: dict[str, Tensor] = {}
        # Of each tensor of each modality's representation, sum over samples and positions, and their number,
        # (C + 1,), of all updates; and of each pass of the update under way.
        self._totals: list[list[Tensor]] = []
        self._seen: list[list[list[Tensor]]] = []

    def changes(self) -> Mapping[int, Change]:
        """Return what observes all representations, and replaces those of resting modalities."""
        seen: list[list[Tensor]] = [[] for _ in self.modalities]
        self._seen.append(seen)
        return {index: partial(self._pass_on, index, seen[index]) for index in range(len(self.modalities))}

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        """Add up means and effective updates, and decide what the next update is for.

        Raises:
            ValueError: If a batch lacked a modality, or an encoder has nothing to train.
        """
        updates = torch.stack(
            [_effective_update(index, parameters) for index, parameters in enumerate(encoders)]
        )
        old = self._committed or {
            'effort': torch.zeros_like(updates),
            'left': updates.new_zeros((), dtype=torch.long),
            'rests': torch.zeros_like(updates, dtype=torch.bool),
        }
        old = {name: value.to(updates.device) for name, value in old.items()}
        finite = updates.isfinite().all()
        self.count_event('gradient not finite, left out of the learning speeds', ~finite)
        joint = old['left'] == 0
        effort = old['effort'] + updates.where(joint & finite, torch.zeros_like(updates))
        speeds = -effort.log10()
        start = joint & (speeds.max() - speeds.min() > self.epsilon) & self.active
        others = torch.arange(len(effort), device=effort.device) != speeds.argmax()
        left = torch.where(start, self.window, (old['left'] - 1).clamp(min=0))
        rests = torch.where(start, others, old['rests'] & (left > 0))
        self.stats = {'speed': speeds - speeds.mean(), 'rests': old['rests'].to(updates)}
        new = {'effort': effort, 'left': left, 'rests': rests}
        ok = in_effect(finite, overflow)
        self._committed = {name: torch.where(ok, value, old[name]) for name, value in new.items()}
        self._add_up(ok)

    def state_dict(self) -> dict[str, Any]:
        return {**self._committed, 'totals': self._totals}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._committed = dict(state_dict)
        self._totals, self._seen = self._committed.pop('totals'), []

    def _pass_on(self, index: int, seen: list[Tensor], x: Tensor) -> Tensor:
        """Return ``x``, or the mean in its shape if modality ``index`` rests."""
        position, axis = len(seen), -1 if x.ndim < 4 else 1
        by_channel = (
            x.detach().movedim(axis, -1).flatten(0, -2).to(torch.promote_types(x.dtype, torch.float32))
        )
        seen.append(torch.cat([by_channel.sum(0), by_channel.new_full((1,), len(by_channel))]))
        if not self.active or not self._committed:
            return x
        total = self._totals[index][position].to(x.device)
        mean = (total[:-1] / total[-1]).to(x.dtype).view(-1, *[1] * (x.ndim - 2 if axis == 1 else 0))
        # Both are computed, so that nothing is read on the host and every encoder stays in the graph.
        return torch.where(self._committed['rests'][index].to(x.device), mean, x)

    def _add_up(self, ok: Tensor) -> None:
        """Add what this update's passes saw to the totals, if ``ok``."""
        if any(not tensors for seen in self._seen for tensors in seen):
            raise ValueError('Greedy compares the modalities of each batch, but a batch lacks one of them.')
        for index in range(len(self._seen[0]) if self._seen else 0):
            sums = [
                torch.stack(tensors).sum(0) for tensors in zip(*(s[index] for s in self._seen), strict=True)
            ]
            sums = [over_processes(x, self.process_group).where(ok, 0) for x in sums]
            if len(self._totals) == index:
                self._totals.append([torch.zeros_like(x) for x in sums])
            pairs = zip(self._totals[index], sums, strict=True)
            self._totals[index] = [a.to(b) + b for a, b in pairs]
        self._seen = []


def _effective_update(index: int, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return ``μ(θ) = ‖∇θ‖² / ‖θ‖²``, a scalar, of the parameters that have a gradient."""
    trained = [p for p in parameters if p.grad is not None]
    if not trained:
        raise ValueError(
            f'Greedy compares how fast encoders learn, but that of modality {index} is frozen or got no '
            'gradient.'
        )
    grads = torch.stack(torch._foreach_norm([p.grad for p in trained])).float()
    values = torch.stack(torch._foreach_norm([p.detach() for p in trained])).float()
    return grads.square().sum() / values.square().sum()
