"""What the documentation's Python blocks find when they are run: what their text takes for granted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class TwoEncoders(nn.Module):
    """A classifier of sound and image, as a user may have it."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_net = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
        self.image_net = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        self.classifier = nn.Linear(16, 3)

    def forward(self, audio: Tensor, image: Tensor) -> Tensor:
        return self.classifier(torch.cat([self.audio_net(audio), self.image_net(image)], 1))


@contextmanager
def two_encoders() -> Iterator[dict[str, Any]]:
    """A model, a loss and data; afterwards both encoders must have moved, and be balanced."""
    torch.manual_seed(0)
    model = TwoEncoders()
    loader = [(dict(audio=torch.randn(4, 6), image=torch.randn(4, 5)), torch.arange(4) % 3) for _ in range(3)]
    before = [p.detach().clone() for p in model.parameters()]
    space = dict(torch=torch, model=model, criterion=nn.CrossEntropyLoss(), loader=loader)
    yield space
    assert not any(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=False))
    assert {'score/audio', 'score/image'} <= set(space['balanced'].stats())


SETUPS: dict[str, Callable] = dict(two_encoders=two_encoders)
