"""Modality-specific learning rates (Yao & Mihalcea, Findings of ACL 2022, 2022.findings-acl.143)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.scaled_rates import scaled_rates
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MSLR(Balancer):
    """Gives each encoder a learning rate of its own: ``f_i`` times that of the optimizer.

    - ``'keep'``: ``f_i`` stays; in the paper such that the rate is the best one of the modality alone.
    - ``'dynamic'``: after every ``H`` validations, with the validation scores ``s_i`` of guide ``i``,

        ``f_i ← f_i · s_i / mean(the last H of s_i)``

      so that an encoder that still improves is sped up, and one that gets worse is slowed.

    For any number of modalities and any fusion; published for additive late fusion of fine-tuned encoders,
    whose own predictions give ``s_i``, as the guides do here. The rule of ``'dynamic'`` and H are those of a
    re-implementation, as the authors' code was not found. The paper's third strategy, ``'smart'``, is not
    here. Learning rate schedules go on as they would.

    Args:
        strategy: ``'keep'`` or ``'dynamic'``.
        factors: ``f_i`` at the start, in the order of the modalities. Default for ``'dynamic'``: ones.
        history: H. ``'dynamic'`` needs GuideScoreHook, and scores above zero.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs_groups = True

    def __init__(
        self, strategy: str = 'dynamic', factors: Sequence[float] | None = None, history: int = 5
    ) -> None:
        super().__init__()
        if strategy not in ('keep', 'dynamic'):
            raise ValueError(f"MSLR needs strategy 'keep' or 'dynamic', got '{strategy}'.")
        if strategy == 'keep' and factors is None:
            raise ValueError("MSLR(strategy='keep') needs `factors`, one for each modality.")
        if factors is not None and min(factors) < 0:
            raise ValueError(f'MSLR needs factors >= 0, got {factors}.')
        if history < 1:
            raise ValueError(f'MSLR needs history >= 1, got {history}.')
        self.strategy = strategy
        self.history = history
        self.needs_validation = 'scores' if strategy == 'dynamic' else None
        self._factors: list[float] | None = None
        if factors is not None:
            self._set_factors(factors)
        self._scores: list[list[float]] = []  # since the last change of the factors

    def observe_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
        """Change the factors, if it is time.

        Raises:
            ValueError: If a score is not above zero, since progress is a ratio of scores.
        """
        if self.strategy == 'keep':
            return
        if not min(scores) > 0:
            raise ValueError(
                f"MSLR(strategy='dynamic') needs scores above zero, got {list(scores)}: set `task.score`, "
                "for example to 'sign' for a regression."
            )
        self._scores.append(list(scores))
        if len(self._scores) < self.history:
            return
        means = [sum(each) / self.history for each in zip(*self._scores, strict=True)]
        factors = self._factors or [1.0] * len(scores)
        self._set_factors([f * s / m for f, s, m in zip(factors, scores, means, strict=True)])
        self._scores = []

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        """Check the factors; they act in :meth:`scaled_updates`."""
        if self._factors is None:
            self._set_factors([1.0] * len(encoders))
        if len(self._factors) != len(encoders):
            raise ValueError(
                f'`optim_wrapper.balancer.factors` has {len(self._factors)} entries for {len(encoders)} '
                'modalities.'
            )

    @contextmanager
    def scaled_updates(self, optimizer: Optimizer) -> Iterator[None]:
        if not self.active:
            yield
            return
        with scaled_rates(optimizer, self._factors, 'MSLR'):
            yield

    def state_dict(self) -> dict[str, Any]:
        return {'factors': self._factors, 'scores': list(self._scores)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._scores = list(state_dict['scores'])
        if state_dict['factors'] is not None:
            self._set_factors(state_dict['factors'])

    def _set_factors(self, factors: Sequence[float]) -> None:
        self._factors = [float(factor) for factor in factors]
        self.stats = {'factor': torch.tensor(self._factors)}
