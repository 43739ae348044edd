"""A model, its balancing, and the plain loop that other loops are compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import mmcggm
from mmcggm.apis import Balanced
from tests.many import many_batches

MODALITIES = 3


class Fusion(nn.Module):
    """Linear encoders, a sum, tanh and a linear head, on ``x`` ``(N, M, 4)``."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({f'm{i}': nn.Linear(4, 8) for i in range(MODALITIES)})
        self.classifier = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.encoders.values(), x.unbind(1), strict=True)
        return self.classifier(torch.tanh(sum(encoder(part) for encoder, part in parts)))


def fusion() -> Fusion:
    """Return a :class:`Fusion` with seeded weights, in double precision."""
    torch.manual_seed(0)
    return Fusion().double()


def balanced_fusion(model: nn.Module | None = None, prefix: str = '', **changes) -> Balanced:
    """Return the balancing of a :func:`fusion`, which is at ``prefix`` in ``model``, with seeded guides."""
    model = fusion() if model is None else model
    torch.manual_seed(1)
    settings = dict(encoders=f'{prefix}encoders', head=f'{prefix}classifier', task='classification')
    return mmcggm.balance(model, **{**settings, **changes})


def double_batches(count: int, size: int = 16) -> list[tuple[Tensor, Tensor]]:
    """Return inputs and labels."""
    return [(batch['x'].double(), batch['label']) for batch in many_batches(MODALITIES, count, size)]


def train_plainly(
    balanced: Balanced,
    make: Callable[..., Optimizer],
    batches: Sequence[tuple[Tensor, Tensor]],
    parts: int = 1,
    clip: float | None = None,
) -> list[Tensor]:
    """Train in the loop of docs/your_loop.md, and return the parameters."""
    model = balanced.model
    optimizer = balanced.prepare(make(model.parameters()))
    for index, (x, label) in enumerate(batches):
        with balanced.watch(label):
            loss = nn.functional.cross_entropy(model(x), label)
        (balanced.loss(loss) / parts).backward()
        if (index + 1) % parts == 0:
            if clip is not None:
                balanced.scale()
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
    return parameters_of(model)


def parameters_of(model: nn.Module) -> list[Tensor]:
    """Return copies of the parameters."""
    return [copy.deepcopy(p.detach()) for p in model.parameters()]


def assert_same(found: Sequence[Tensor], expected: Sequence[Tensor], atol: float = 1e-6) -> None:
    """Raise an AssertionError unless parameters are the same."""
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=atol, rtol=0)
