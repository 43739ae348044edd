"""ReconBoost (Hua et al., ICML 2024, arXiv 2405.09321)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.checks import check_adds_up
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pass_record import Change, Pass
from mmcggm.balancers.state import Memory
from mmcggm.balancers.turn_taking import alone, let_rest
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class ReconBoost(Balancer):
    """Lets modalities take turns at what the others get wrong, and corrects all together between turns.

    A learner ``φ_i`` is modality ``i`` alone in the model. In its turn it fits the truth ``y`` and avoids
    what the others together already say, with probabilities ``p`` of ``φ_i`` and ``q`` of the others:

        ``L_i = CE(p, y) - λ KL(q ‖ p)``,  so that  ``∂L_i/∂φ_i = (1 - λ) p - (y - λ q)``

    With ``λ = 1`` it fits the residual ``y - q``, as gradient boosting does. ``L_i`` has no minimum where
    ``λ q`` is above zero for a wrong class; the authors' code leaves the truth alone in the divergence,

        ``L_i = -(1 - λ q_y) log p_y``

    which weights samples by what the others miss. That is ``classes='truth'``, the default. After
    ``turn_epochs`` of a turn follow ``rectify_epochs`` in which all train on the task's loss: global
    rectification. Then the next modality has its turn.

    Published, and released, for two and three modalities; it is the same for any number, with the others
    masked as in :class:`MLA`. The published model adds up the learners of one head: give the model a fusion
    that adds up (``SumFusion``, ``ConcatFusion``), or modalities would meet for the first time between turns;
    another is refused in the first pass.
    Memory consolidation, ``α ‖p - p_prev‖² / C`` to the modality whose turn was before, is detached in the
    authors' code, where it moves nothing; here it pulls ``φ_i``, if asked for. Their factor ``weight1 / C``
    of ``L_i`` is left to the learning rate, their learnt scale of the sum to the head, and each of their
    stages has a new optimizer, where here momentum waits. For tasks with probabilities.

    A step of a turn costs one more forward pass, without gradients; two with consolidation. Epochs are
    counted while the method is active, so a plain loop must call ``end_epoch``. (The formulas are those of
    the code; the paper's text could not be had but for its abstract.)

    Args:
        lam: λ in [0, 1]: ``weight2 / weight1`` of the authors' code, 0.2 for CREMA-D, elsewhere 0.25.
        classes: ``'truth'``, or ``'all'`` for the whole divergence.
        consolidation: α, not negative.
        turn_epochs: Length of a turn, at least 1.
        rectify_epochs: Length of a rectification, or 0 for none.
        any_fusion: Whether a fusion that does not add up is taken all the same.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = acting_on('representations', 'loss', 'gradients', epochs=True, reruns=True)
    epochs = Memory(0)  # while active

    def __init__(
        self,
        lam: float = 0.25,
        classes: str = 'truth',
        consolidation: float = 0.0,
        turn_epochs: int = 4,
        rectify_epochs: int = 4,
        any_fusion: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= lam <= 1 or consolidation < 0:
            raise ValueError(
                'ReconBoost needs lam in [0, 1] and consolidation >= 0, '
                f'got lam={lam} and consolidation={consolidation}.'
            )
        if classes not in ('truth', 'all'):
            raise ValueError(f"ReconBoost needs classes='truth' or 'all', got {classes!r}.")
        if turn_epochs < 1 or rectify_epochs < 0:
            raise ValueError(
                'ReconBoost needs turn_epochs >= 1 and rectify_epochs >= 0, '
                f'got {turn_epochs} and {rectify_epochs}.'
            )
        self.lam = lam
        self.classes = classes
        self.consolidation = consolidation
        self.turn_epochs = turn_epochs
        self.rectify_epochs = rectify_epochs
        self._check_fusion = not any_fusion

    @property
    def turn(self) -> int | None:
        """Index of the modality whose turn it is, or None while all train."""
        stage, epoch = divmod(self.epochs, self.turn_epochs + self.rectify_epochs)
        return stage % len(self.modalities) if self.active and epoch < self.turn_epochs else None

    def changes(self) -> Mapping[int, Change]:
        """Return what leaves the modality whose turn it is alone."""
        return {} if self.turn is None else alone(self.turn, len(self.modalities))

    def observe(self, seen: Pass) -> None:
        turn = torch.zeros(len(self.modalities))
        if self.turn is not None:
            turn[self.turn] = 1
        self.stats = {'turn': turn.to(seen.task_loss)}

    def loss_term(self, seen: Pass) -> Tensor | None:
        """Return ``-λ KL(q ‖ p)``, but for a constant, and memory consolidation.

        Raises:
            ValueError: If fusion does not add up.
        """
        turn, count = self.turn, len(self.modalities)
        if turn is None:
            return None
        if self._check_fusion:
            check_adds_up(seen, self.name)
            self._check_fusion = False
        with torch.no_grad():
            others = seen.rerun({turn: torch.zeros_like})
            self.stats['others'] = others.confidences_of(others.output).mean()
        term = self.lam * overlap(seen, others, self.classes)
        if self.consolidation and self.epochs >= self.turn_epochs + self.rectify_epochs:
            with torch.no_grad():
                previous = seen.rerun(alone((turn - 1) % count, count))
            now, before = (of.class_logits(of.output).float().softmax(1) for of in (seen, previous))
            gap = F.mse_loss(now, before)
            term = term + self.consolidation * gap
        return term

    def change_gradients(self) -> None:
        """Let the others' encoders rest in a turn."""
        if self.turn is not None:
            let_rest(self.encoders, self.turn)

    def end_epoch(self) -> None:
        """Count the epoch."""
        self.epochs += self.active


def overlap(learner: Pass, others: Pass, classes: str) -> Tensor:
    """Return ``mean_n Σ_c q_c log p_c``, a scalar, over the true class alone or ``'all'``.

    It is ``-KL(q ‖ p)`` but for a constant; gradients reach ``p``, the learner's probabilities, alone.
    """
    if classes == 'truth':
        # At 1e-8, as AGM has it, where the cross-entropy alone is left to pull.
        truth = learner.confidences_of(learner.output).float().clamp(min=1e-8).log()
        return (others.confidences_of(others.output).detach() * truth).mean()
    taken = others.class_logits(others.output).detach().float().softmax(1)
    return (taken * learner.class_logits(learner.output).float().log_softmax(1)).sum(1).mean()
