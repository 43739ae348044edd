"""A tiny classifier of any number of modalities, for tests of the balancers."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmcggm.guided import GuidedModel
from mmcggm.registry import MODELS
from tests.tiny import classifier_guided


@MODELS.register_module()
class ManyClassifier(BaseModel):
    """Linear encoders, a sum and a linear head, on ``x`` ``(N, M, 4)``.

    Args:
        modalities: M.
        late: Whether the logits are a sum over the modalities; otherwise there is a tanh before the head.
    """

    def __init__(self, modalities: int, late: bool = False) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(nn.Linear(4, 8) for _ in range(modalities))
        self.late = late
        self.classifier = nn.Linear(8, 3)

    def fuse(self, representations: list[Tensor]) -> Tensor:
        fused = sum(representations)
        return self.classifier(fused if self.late else torch.tanh(fused))

    def forward(self, x: Tensor, label: Tensor, mode: str = 'tensor'):
        logits = self.fuse([encoder(part) for encoder, part in zip(self.encoders, x.unbind(1), strict=True)])
        return dict(loss=nn.functional.cross_entropy(logits, label)) if mode == 'loss' else logits


def many_guided(modalities: int, late: bool = False, **overrides) -> GuidedModel:
    """Return a guided :class:`ManyClassifier` with seeded weights."""
    return classifier_guided(
        model=dict(type='ManyClassifier', modalities=modalities, late=late),
        encoders={f'm{i}': f'encoders.{i}' for i in range(modalities)},
        **overrides,
    )


def many_batches(modalities: int, count: int, size: int = 16) -> list[dict[str, Tensor]]:
    """Return batches whose label the first modality tells, the others less and less."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, size, modalities, 4, generator=generator)
    strength = 0.5 ** torch.arange(modalities)
    label = (x[..., 0] * strength).sum(2).sign().long() + 1
    return [dict(x=a, label=b) for a, b in zip(x, label, strict=True)]
