"""Learning the modality gap, LFM (Yang et al., NeurIPS 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations
from math import exp
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmcggm.balancers.balancer import Balancer, GuidedStep, over_processes, present
from mmcggm.balancers.flat_gradients import accumulated, gradient_of, refuse_sharded
from mmcggm.balancers.overflow import in_effect
from mmcggm.balancers.pairwise_losses import contrast, divergence
from mmcggm.balancers.pass_record import GuidedPass
from mmcggm.balancers.schedule import Schedule
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

    - ``matching='contrastive'``, as in the paper: of two samples' representations, as vectors averaged over
      positions, those of one sample are to be the most similar, ``½ (CE(s) + CE(sᵀ))`` with the cosines
      ``s`` ``(N, N)`` over the temperature, from CLIP (Radford et al., ICML 2021). They must have one width;
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
        process_group: The processes that train together. Default: all, if distributed.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        alpha: str | float | Sequence[tuple[float, float]] = 'heuristic',
        matching: str = 'contrastive',
        temperature: float = 0.07,
        rate: float = 0.05,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.schedule = None if alpha in ('heuristic', 'learned') else Schedule(alpha, 'alpha')
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
        self.process_group = process_group
        self._epochs = 0
        self._learned = HIGHEST
        self._cosines: Tensor | None = None  # of this epoch, their sum and number, (2,)
        self._direction: Tensor | None = None  # d of the last update, (P,)
        # Of the update under way: g_match, summed over its passes, and their number.
        self._gradient: Tensor | None = None
        self._passes = 0

    @property
    def alpha(self) -> float:
        """The weight of ``L_match`` now."""
        if self.learns:
            return self._learned
        return self.schedule(self.training_progress) if self.schedule else 1 - exp(-1 / (self._epochs + 1))

    def adjust_loss(self, step: GuidedStep) -> Tensor | None:
        """Return what makes the task's loss the weighted sum of both.

        Raises:
            ValueError: If α is learned, and parameters are sharded or a batch lacks all modalities but one.
        """
        if not self.active:
            return None
        guided_pass = present(step.guided_pass, self)
        matching = self._matching_loss(guided_pass)
        if matching is None:
            if self.learns:
                raise ValueError("LFM(alpha='learned') needs two modalities in every batch, but one has one.")
            return None
        self.stats = {'alpha': matching.new_tensor(self.alpha), 'matching': matching.detach()}
        if self.learns:
            parameters = list(chain.from_iterable(guided_pass.encoders()))
            refuse_sharded(parameters, "LFM(alpha='learned')")
            gradient = gradient_of(matching, parameters, step.task_loss)
            self._gradient = gradient if self._gradient is None else self._gradient + gradient
            self._passes += 1
        loss = guided_pass.task_loss()
        return 2 * ((1 - self.alpha) * loss + self.alpha * matching) - loss

    def adjust_gradients(
        self, encoders: Sequence[Sequence[nn.Parameter]], overflow: Tensor | None = None
    ) -> None:
        """Judge the last update by the gradient of the task's loss in this one."""
        if self._gradient is None:
            return
        matching = over_processes(self._gradient / self._passes, self.process_group, mean=True)
        self._gradient, self._passes = None, 0
        # What backward left is 2 ((1 - α) g + α g_match).
        total = accumulated(list(chain.from_iterable(encoders)), matching)
        fitting = (total / 2 - self.alpha * matching) / (1 - self.alpha)
        if self._direction is not None:
            cosine = torch.cosine_similarity(fitting, self._direction, dim=0)
            ok = in_effect(cosine.isfinite(), overflow)
            found = torch.stack([cosine.where(ok, torch.zeros_like(cosine)), ok.to(cosine)])
            self._cosines = found if self._cosines is None else self._cosines.to(found) + found
            self.stats['cos'] = cosine
        self._direction = matching - fitting

    def end_epoch(self, encoders: Sequence[Sequence[nn.Parameter]]) -> None:
        """Count the epoch, and learn α."""
        self._epochs += self.active
        if self._cosines is not None:
            total, number = self._cosines.tolist()
            moved = self._learned + self.rate * total / max(number, 1)
            self._learned = min(max(moved, LOWEST), HIGHEST)
        # The direction goes as well, so that checkpoints between epochs need not hold it.
        self._cosines = self._direction = None

    def state_dict(self) -> dict[str, Any]:
        return {'epochs': self._epochs, 'alpha': self._learned, 'cosines': self._cosines}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._epochs, self._learned = state_dict['epochs'], state_dict['alpha']
        self._cosines = state_dict['cosines']
        self._direction, self._gradient, self._passes = None, None, 0

    def _matching_loss(self, guided_pass: GuidedPass) -> Tensor | None:
        """Return ``L_match``, whose gradient goes to encoders alone, or None if the batch has no pair."""
        contrastive = self.matching == 'contrastive'
        found = guided_pass.vectors() if contrastive else guided_pass.predictions()
        pairs = list(combinations([x.float() for x in found if x is not None], 2))
        if not pairs:
            return None
        if contrastive:
            return sum(contrast(a, b, self.temperature) for a, b in pairs) / len(pairs)
        return guided_pass.at_encoders(sum(divergence(a, b) for a, b in pairs) / len(pairs))
