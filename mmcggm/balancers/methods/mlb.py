"""Multi-Loss Balanced learning, MLB (Kontras et al., BMVC 2024 and IJCV 2025, arXiv 2405.07930)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcggm.balancers.balancer import EncoderScaling
from mmcggm.balancers.discrepancy import confidence_sums, discrepancy_ratios
from mmcggm.balancers.needs import Needs
from mmcggm.balancers.pass_record import Pass, sum_of_present
from mmcggm.balancers.state import UpdateSum
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class MLB(EncoderScaling):
    """Trains each encoder by its modality's loss as well, and speeds up those that are behind.

        ``L = L_task + weight Σ_i L_i``,  ``∇θ_i ← c_i ∇θ_i``

    with the loss ``L_i`` of guide ``i``, and, where ``r_i`` says how far the others are ahead,

        ``c_i = 1 + tanh(α (r_i - 1))`` if ``r_i ≤ 1``, else ``1 + (β - 1) tanh(α (r_i - 1))``

    A modality that leads is slowed, down to ``1 - tanh α`` at most; one that is behind is sped up, to less
    than ``β``. Equal modalities are left alone, so that what remains is :class:`MultiLoss`. With
    ``β = 1`` none is sped up.

    - ``by='confidence'``: ``r_i = mean_{k≠i} s_k / s_i``, with the sums ``s_i`` of the probabilities that
      guides give to the truth in the update, for tasks with probabilities;
    - ``by='loss'``: ``r_i = L_i / mean_{k≠i} L_k``, for any task. The authors have it for regression, with
      squared errors.

    Published for two modalities, and in the authors' code for three, with the mean over the others, as
    here. None of the configs that they released at first sets β, which makes it 2, the default here. That
    code also scales the columns of a linear head that belong to a modality; here encoders alone are scaled.
    A modality that the batch lacks has ``c_i = 1``.

    Args:
        alpha: α, positive; 0.8 in all of the authors' configs.
        beta: β, at least 1: the limit of ``c_i``.
        weight: Of the unimodal losses, not negative.
        by: ``'confidence'`` or ``'loss'``.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = Needs(frozenset({'gradients', 'loss'}), frozenset({'gradients'}))
    values = UpdateSum()  # s or L, (M,)

    def __init__(
        self, alpha: float = 0.8, beta: float = 2.0, weight: float = 1.0, by: str = 'confidence'
    ) -> None:
        super().__init__()
        if alpha <= 0 or beta < 1 or weight < 0:
            raise ValueError(
                'MLB needs alpha > 0, beta >= 1 and weight >= 0, got '
                f'alpha={alpha}, beta={beta} and weight={weight}.'
            )
        if by not in ('confidence', 'loss'):
            raise ValueError(f"MLB needs by='confidence' or 'loss', got {by!r}.")
        self.alpha = alpha
        self.beta = beta
        self.weight = weight
        self.by = by

    def factors(self, seen: Pass) -> Tensor:
        """Return ``c`` from the micro-batches so far."""
        by_loss = self.by == 'loss'
        self.values.add(torch.stack(list(seen.guide_losses)) if by_loss else confidence_sums(seen))
        values = self.values.total
        leads = discrepancy_ratios(values)
        ratios = torch.where(values > 0, leads if by_loss else 1 / leads, torch.ones_like(leads))
        coefficients = mlb_coefficients(ratios, self.alpha, self.beta)
        self.stats = {'c': coefficients, self.by: values}
        return coefficients

    def loss_term(self, seen: Pass) -> Tensor | None:
        return self.weight * sum_of_present(seen.unimodal_losses()) if self.weight > 0 else None


def mlb_coefficients(ratios: Tensor, alpha: float, beta: float) -> Tensor:
    """Return ``c_i`` ``(M,)`` for the ratios ``r_i`` ``(M,)``, which are not negative."""
    gaps = torch.tanh(alpha * (ratios - 1))
    return 1 + torch.where(ratios > 1, (beta - 1) * gaps, gaps)
