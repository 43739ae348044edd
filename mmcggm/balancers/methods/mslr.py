"""Modality-specific learning rates (Yao & Mihalcea, Findings of ACL 2022, 2022.findings-acl.143)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.state import Memory
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MSLR(Balancer):
    """Gives each encoder a learning rate of its own: ``f_i`` times the optimizer's rate.

    - ``'keep'``: ``f_i`` stays. In the paper, the rate is the best one for a training of the modality alone.
    - ``'dynamic'``: after every ``H`` validations, with the validation scores ``s_i`` of guide ``i``,

        ``f_i ← f_i · s_i / mean(the last H of s_i)``

      so that an encoder that still improves is sped up, and one that gets worse is slowed.

    For any number of modalities and any fusion; published for additive late fusion of fine-tuned encoders,
    whose own predictions give ``s_i``, as the guides do here. The rule of ``'dynamic'`` and H come from a
    re-implementation, since the authors' code was not found. The paper's third strategy, ``'smart'``, is not
    here. Learning rate schedules go on as they would.

    Args:
        strategy: ``'keep'`` or ``'dynamic'``.
        factors: ``f_i`` at the start, in the order of the modalities. Default for ``'dynamic'``: ones.
        history: H. ``'dynamic'`` needs GuideScoreHook, and scores above zero.

    Raises:
        ValueError: If an argument is out of its range.
    """

    factors = Memory()  # f_i, once they have changed
    scores = Memory(lambda count: [])  # since then

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
        self.needs = acting_on('rates', rates=True, validation='scores' if strategy == 'dynamic' else None)
        self.start = None if factors is None else [float(factor) for factor in factors]

    def rate_factors(self) -> list[float]:
        """Return ``f``.

        Raises:
            ValueError: If there isn't one for each modality.
        """
        count = len(self.modalities)
        factors = self.factors or self.start or [1.0] * count
        if len(factors) != count:
            raise ValueError(
                f'`optim_wrapper.balancer.factors` has {len(factors)} entries for {count} modalities.'
            )
        self.stats = {'factor': torch.tensor(factors)}
        return factors

    def see_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
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
        seen = [*self.scores, list(scores)]
        if len(seen) == self.history:
            means = [sum(each) / self.history for each in zip(*seen, strict=True)]
            factors = self.factors or self.start or [1.0] * len(scores)
            self.factors = [f * s / m for f, s, m in zip(factors, scores, means, strict=True)]
            seen = []
        self.scores = seen
