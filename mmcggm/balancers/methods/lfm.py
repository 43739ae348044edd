"""Learning the modality gap, LFM (Yang et al., NeurIPS 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations
from math import exp

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.flat_gradients import accumulated, gradient_of
from mmcggm.balancers.needs import acting_on
from mmcggm.balancers.pairwise_losses import contrast, divergence
from mmcggm.balancers.pass_record import Pass, sum_of_present
from mmcggm.balancers.schedule import Schedule
from mmcggm.balancers.state import Memory, UpdateMean
from mmcggm.registry import BALANCERS

LOWEST, HIGHEST = 0.05, 0.95  # what the authors' code lets α learn


@BALANCERS.register_module()
class LFM(Balancer):
    """Matches modalities before it fits labels, which some of them fit faster than others.

    Yang, Wan, Jiang & Xu, *Facilitating Multimodal Classification via Dynamically Learning Modality Gap*,
    NeurIPS 2024. The loss becomes ``2 ((1 - α) L + α L_match)``, with a weight α that falls over training:

    - ``alpha='heuristic'``: ``α_t = 1 - exp(-1 / t)`` in epoch ``t = 1, 2, …``;
    - ``alpha='learned'``: bi-level, α follows the gradient of the loss ``L`` that an update leaves behind;
    - or a number or points, see :class:`Schedule`.

    ``L_match`` is a mean over all pairs of modalities, of which the paper has one, of

    - ``matching='contrastive'``, as in the paper: the two representations of one sample, as vectors averaged
      over positions, are to be more similar than representations of different samples. The loss is
      ``½ (CE(s) + CE(sᵀ))`` with the cosines ``s`` ``(N, N)`` over the temperature, from CLIP (Radford et
      al., ICML 2021). Representations must have one width;
    - ``matching='divergence'``, as in the authors' code: Jensen-Shannon divergence of the probabilities that
      the modalities' guides predict, of any encoders, for tasks with classes.

    An update moves the parameters by ``-2 η ((1 - α) g + α g_match)``, so ``∂L/∂α = -2 η ⟨g', d⟩`` after it,
    with ``d = g_match - g`` and the gradient ``g'`` of the next update's batch, which stands for the
    validation set. α starts at 0.95, stays in [0.05, 0.95], and gains ``rate`` times the mean of
    ``cos(g', d)`` after each epoch. Gradients are those of all encoders. That costs a second backward pass
    through the encoders and, over several processes, one more sum of their gradients; not for sharded
    parameters.

    The paper's text could not be had: the heuristic and the contrastive loss are as reviews of it report
    them, the temperature is that of CLIP, and which loss α weights follows the authors' learnt curve, whose
    weight of the labels rises from 0.20 to 0.92. That code learns α from a Hessian-vector product of one
    parameter on 16 held-out samples, and swaps the two distributions in each divergence. Here guides
    learn from their own losses alone, and only encoders from ``L_match``. Negatives are those of
    the process. A pair of which the batch lacks a modality is left out; without a
    pair the loss is ``L``.

    Args:
        alpha: ``'heuristic'``, ``'learned'``, a number in [0, 1], or points over training.
        matching: ``'contrastive'`` or ``'divergence'``.
        temperature: Of the contrastive loss, positive.
        rate: Of ``alpha='learned'``: how far α moves in an epoch at most, positive.

    Raises:
        ValueError: If an argument is out of its range.
    """

    matching_gradient = UpdateMean()  # g_match, (P,)
    epochs = Memory(0)
    learned = Memory(HIGHEST)
    cosines = Memory(lambda count: torch.zeros(2))  # of this epoch, their sum and number
    direction = Memory()  # d of the last update, (P,)

    def __init__(
        self,
        alpha: str | float | Sequence[tuple[float, float]] = 'heuristic',
        matching: str = 'contrastive',
        temperature: float = 0.07,
        rate: float = 0.05,
    ) -> None:
        super().__init__()
        self.schedule = None if isinstance(alpha, str) else Schedule(alpha, 'alpha')
        if isinstance(alpha, str) and alpha not in ('heuristic', 'learned'):
            raise ValueError(
                f"LFM: `alpha` must be 'heuristic', 'learned', a number or points, got {alpha!r}."
            )
        if self.schedule is not None and not all(0 <= value <= 1 for value in self.schedule.values):
            raise ValueError(f'LFM needs alpha in [0, 1], got {alpha}.')
        if matching not in ('contrastive', 'divergence'):
            raise ValueError(f"LFM needs matching='contrastive' or 'divergence', got {matching!r}.")
        if temperature <= 0 or rate <= 0:
            raise ValueError(
                f'LFM needs temperature > 0 and rate > 0, got temperature={temperature} and rate={rate}.'
            )
        self.learns = alpha == 'learned'
        self.matching = matching
        self.temperature = temperature
        self.rate = rate
        self.needs = acting_on('loss', epochs=self.schedule is None, whole_encoders=self.learns)

    @property
    def alpha(self) -> float:
        """The weight of ``L_match`` now."""
        if self.learns:
            return self.learned
        return self.schedule(self.clock.progress) if self.schedule else 1 - exp(-1 / (self.epochs + 1))

    def loss_term(self, seen: Pass) -> Tensor | None:
        """Return what makes the task's loss the weighted sum of both.

        Raises:
            ValueError: If α is learned, and a batch lacks all modalities but one.
        """
        matching = self._matching_loss(seen)
        if matching is None:
            if self.learns:
                raise ValueError("LFM(alpha='learned') needs two modalities in every batch, but one has one.")
            return None
        self.stats = {'alpha': matching.new_tensor(self.alpha), 'matching': matching.detach()}
        if self.learns:
            self.matching_gradient.add(gradient_of(seen, matching, list(chain.from_iterable(self.encoders))))
        return 2 * ((1 - self.alpha) * seen.task_loss + self.alpha * matching) - seen.task_loss

    def change_gradients(self) -> None:
        """Judge the last update by the gradient of the task's loss in this one."""
        matching = self.matching_gradient.total
        if matching is None:
            return
        # What backward left is 2 ((1 - α) g + α g_match).
        total = accumulated(list(chain.from_iterable(self.encoders)), matching)
        fitting = (total / 2 - self.alpha * matching) / (1 - self.alpha)
        if self.direction is not None:
            cosine = torch.cosine_similarity(fitting, self.direction, dim=0)
            # A direction of zero is none: all updates so far have overflowed.
            ok = cosine.isfinite() & self.direction.any()
            found = torch.stack([cosine.where(ok, torch.zeros_like(cosine)), ok.to(cosine)])
            self.cosines = self.cosines.to(found) + found
            self.stats['cos'] = cosine
        self.direction = matching - fitting

    def end_epoch(self) -> None:
        """Count the epoch, and learn α."""
        self.epochs += self.active
        total, number = self.cosines.tolist()
        if number:
            moved = self.learned + self.rate * total / number
            self.learned = min(max(moved, LOWEST), HIGHEST)
        # The direction goes as well, so that an epoch is judged by its own updates alone.
        self.cosines = torch.zeros_like(self.cosines)
        self.direction = None

    def _matching_loss(self, seen: Pass) -> Tensor | None:
        """Return ``L_match``, whose gradient goes to encoders alone, or None if the batch has no pair."""
        contrastive = self.matching == 'contrastive'
        found = seen.vectors() if contrastive else seen.predictions()
        present = [x.float() for x in found if x is not None]
        pairs = list(combinations(present if contrastive else map(seen.class_logits, present), 2))
        if not pairs:
            return None
        if contrastive:
            return sum_of_present(contrast(a, b, self.temperature) for a, b in pairs) / len(pairs)
        return seen.at_encoders(sum_of_present(divergence(a, b) for a, b in pairs) / len(pairs))
