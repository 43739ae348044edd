"""How much the representations or predictions of two modalities differ, for LFM."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor
from torch.nn import functional as F


def contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss, a scalar, of two modalities' representations ``(N, C)``.

    Raises:
        ValueError: If they differ in width.
    """
    if first.shape != second.shape:
        raise ValueError(
            'LFM compares representations of modalities by their cosines, which needs one width, but got '
            f'{first.shape[1]} and {second.shape[1]} channels: give the encoders one, or set '
            "`optim_wrapper.balancer.matching='divergence'`."
        )
    similarities = F.normalize(first) @ F.normalize(second).T / temperature
    own = torch.arange(len(first), device=first.device)
    return (F.cross_entropy(similarities, own) + F.cross_entropy(similarities.T, own)) / 2


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence in nats, a scalar, of two predictions, logits ``(N, K, *)``.

    Raises:
        ValueError: If there are fewer than two classes.
    """
    if first.shape[1] < 2:
        raise ValueError(
            "LFM(matching='divergence') compares probabilities of classes, but guides predict one number: "
            "set `optim_wrapper.balancer.matching='contrastive'`."
        )
    logs = torch.stack([first, second]).log_softmax(2)
    mixed = torch.logaddexp(*logs) - log(2)
    return (logs.exp() * (logs - mixed)).sum(2).mean()
