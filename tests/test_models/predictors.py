"""Small predictors of several sequences, and batches for them, that tests share."""

from __future__ import annotations

import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmcggm.registry import MODELS

TRANSFORMER = dict(dim=8, num_heads=2)
WIDTHS = dict(text=6, audio=3)


def build(config: dict) -> nn.Module:
    """Return a model of a config, with seeded weights."""
    with DefaultScope.overwrite_default_scope('mmcggm'):
        torch.manual_seed(0)
        return MODELS.build(config)


def predictor_config(
    widths: dict = WIDTHS,
    outputs: int = 1,
    loss: str = 'L1Loss',
    fusion: dict | None = None,
    encoders: dict | None = None,
    dim: int = TRANSFORMER['dim'],
    **settings,
) -> dict:
    """Return the config of a predictor with a transformer for each of ``widths``."""
    sequences = {
        m: dict(type='SequenceEncoder', in_channels=w, num_layers=2, **TRANSFORMER) for m, w in widths.items()
    }
    return dict(
        type='MultimodalPredictor',
        backbone=dict(
            type='MultimodalBackbone',
            modalities=tuple(widths),
            encoders={**sequences, **(encoders or {})},
            fusion=fusion or dict(type='TransformerFusion', num_layers=1, **TRANSFORMER),
        ),
        dim=dim,
        outputs=outputs,
        loss=dict(type=f'torch.nn.{loss}'),
        **settings,
    )


def guided_config(task: dict, guide: dict | None = None, **settings) -> dict:
    """Return the config of a predictor with guides."""
    model = predictor_config(**settings)
    guide = guide or dict(type='SequenceGuide', outputs=model['outputs'], num_layers=1, **TRANSFORMER)
    encoders = {m: f'backbone.encoders.{m}' for m in model['backbone']['modalities']}
    return dict(type='GuidedModel', model=model, encoders=encoders, head='head', guide=guide, task=task)


def batch(widths: dict = WIDTHS, size: int = 3, max_length: int = 5) -> dict[str, Tensor]:
    """Return inputs whose lengths differ from modality to modality."""
    generator = torch.Generator().manual_seed(0)
    return {
        m: torch.randn(size, max_length + i, w, generator=generator)
        for i, (m, w) in enumerate(widths.items())
    }
