"""The published code's rules (zrguo/CGGM at 21e428c), as a straight line of SGD steps on a ToyModel.

Written from their description alone, without the balancers: scores of the guides, coefficients with
1e-8 in the denominator, the cosine of *weights*, whose term joins the next iteration's loss.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from tests.toy import ToyModel


def train_as_published(
    model: ToyModel,
    batches: list[tuple[list[Tensor], Tensor]],
    rho: float,
    lam: float,
    lr: float,
    guide_lr: float,
) -> list[list[float]]:
    """Train ``model`` in place; return the coefficients of each step."""
    count = len(model.encoders)
    scores, penalty, history = [0.0] * count, None, []
    for inputs, target in batches:
        prediction, guided = model.predict(inputs)
        loss = cross_entropy(prediction, target)
        if penalty is not None:
            loss = loss + lam * penalty
        model.zero_grad()
        loss.backward()
        for guide in model.guides:
            guide.zero_grad()
        sum(cross_entropy(g, target) for g in guided).backward()

        cosines = [
            cosine_similarity(guide.weight.clone().flatten(), model.head.weight.clone().flatten(), dim=0)
            for guide in model.guides
        ]
        new_scores = [(g.argmax(1) == target).double().mean().item() for g in guided]
        progress = [new - old for new, old in zip(new_scores, scores, strict=True)]
        total = sum(progress) + 1e-8
        coefficients = [(total - p) / total for p in progress]
        scores = new_scores
        penalty = (
            sum(map(abs, coefficients)) - sum(c * k for c, k in zip(coefficients, cosines, strict=True))
        ) / count

        with torch.no_grad():
            for encoder, coefficient in zip(model.encoders, coefficients, strict=True):
                for parameter in encoder.parameters():
                    parameter.grad *= coefficient * rho
            for part, rate in ((model.guides, guide_lr), (model.encoders, lr), (model.head, lr)):
                for parameter in part.parameters():
                    parameter -= rate * parameter.grad
        history.append(coefficients)
    return history
