"""A model of any number of streams, of vectors, sequences, images or volumes, that tests share."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import nn
from torch.nn import functional as F

from mmcggm.guided import GuidedModel

LAYERS = {
    'linear': (nn.Linear, (), ()),
    'conv1d': (nn.Conv1d, (1,), (3,)),
    'conv2d': (nn.Conv2d, (1,), (3, 2)),
    'conv3d': (nn.Conv3d, (1,), (2, 2, 2)),
}


class Streams(BaseModel):
    """A stream a modality; a batch may lack some. ``losses`` loss terms, with names of its own."""

    def __init__(self, kind: str = 'linear', bias: bool = True, modalities: int = 2, losses: int = 1) -> None:
        super().__init__()
        layer, kernel, _ = LAYERS[kind]
        self.streams = nn.ModuleList(
            nn.Sequential(layer(4, 5, *kernel), nn.Tanh()) for _ in range(modalities)
        )
        self.top = nn.ModuleDict(dict(final=layer(5, 3, *kernel, bias=bias), other=layer(5, 2, *kernel)))
        self.losses = losses

    def forward(self, mode: str, target=None, **inputs):
        features = sum(self.streams[int(name[1:])](x) for name, x in inputs.items())
        logits = self.top['final'](features)
        if mode != 'loss':
            return logits
        terms = {f'term{i}_loss': F.cross_entropy(logits, target) for i in range(self.losses)}
        terms['other_loss'] = [self.top['other'](features).square().mean()]
        return {**terms, 'accuracy': (logits.argmax(1) == target).float().mean()}


def streams_guided(model: Streams, **overrides) -> GuidedModel:
    encoders = {f'x{i}': f'streams.{i}' for i in range(len(model.streams))}
    task = dict(type='ClassificationTask', target='target')
    return GuidedModel(**{**dict(model=model, encoders=encoders, head='top.final', task=task), **overrides})


def streams_batch(kind: str = 'linear', modalities: int = 2, size: int = 6) -> dict:
    space = LAYERS[kind][2]
    inputs = {f'x{i}': torch.randn(size, 4, *space) for i in range(modalities)}
    return dict(**inputs, target=torch.randint(0, 3, (size, *space)))
