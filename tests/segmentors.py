"""Small segmentors of any number of modalities, and slices for them, that tests share."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmcggm.registry import MODELS

CONFIGS = Path(__file__).parents[1] / 'configs'
SMALL = (4, 6, 8)


def build(config) -> torch.nn.Module:
    with DefaultScope.overwrite_default_scope('mmcggm'):
        return MODELS.build(config)


def small_unet(modalities=('flair', 't1ce', 't1', 't2'), guided: bool = True, **encoder):
    """The model of ``cggm/brats_unet.py`` with few channels, any modalities and settings of the encoders."""
    cfg = Config.fromfile(CONFIGS / 'cggm' / 'brats_unet.py').model
    cfg.encoders = {modality: f'backbone.encoders.{modality}' for modality in modalities}
    cfg.model.backbone.modalities = modalities
    cfg.model.backbone.encoder.update(channels=SMALL, **encoder)
    cfg.model.backbone.fusion.in_channels = cfg.model.backbone.fusion.out_channels = SMALL
    cfg.model.decode_head.in_channels = SMALL
    cfg.guide.head.update(in_channels=SMALL[1:], in_index=[1, 2], channels=SMALL[0])
    torch.manual_seed(0)
    return build(cfg if guided else cfg.model)


def slices(modalities, size=16, count=2):
    samples = []
    for index in range(count):
        label = torch.randint(0, 4, (1, size, size), generator=torch.Generator().manual_seed(index))
        sample = SegDataSample(gt_sem_seg=PixelData(data=label))
        sample.set_metainfo(dict(present=dict.fromkeys(modalities, True)))
        samples.append(sample)
    return {m: torch.randn(count, 1, size, size) for m in modalities}, samples
