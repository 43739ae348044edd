"""A small classifier of two modalities as tools read it: its config, its data and its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmcggm.guided import GuidedModel
from mmcggm.registry import MODELS
from tests.formats.features import CHANNELS, arrays, write

ROOT = Path(__file__).parents[1]
CLASSES = ('calm', 'glad', 'sad')
CONFIG = """
_base_ = ['{root}/configs/_base_/guided/features_classification.py']
moods = dict(
    data_root='{folder}',
    inputs=dict(left='moods.npz:left', right='moods.npz:right'),
    labels='moods.npz:label',
    classes=('calm', 'glad', 'sad'),
    splits='moods.npz:split',
)
train_dataloader = dict(dataset=moods)
val_dataloader = dict(dataset=moods)
test_dataloader = dict(batch_size=7, dataset=moods)
model = dict(
    model=dict(
        data_preprocessor=dict(standardise=False),
        backbone=dict(in_channels=dict(left=5, right=3)),
        outputs=3,
    )
)
"""


class Predictor(NamedTuple):
    """Its files, and the model that the checkpoint was saved from, in evaluation mode."""

    config: Path
    checkpoint: Path
    model: GuidedModel


def write_predictor(folder: Path) -> Predictor:
    """Write ``config.py``, ``moods.npz`` and the checkpoint of an untrained model, and return them."""
    content = arrays()
    write(folder / 'moods.npz', {**content, 'label': np.array(CLASSES)[content['label']]})
    config, checkpoint = folder / 'config.py', folder / 'epoch_1.pth'
    config.write_text(CONFIG.format(root=ROOT, folder=folder))
    torch.manual_seed(1)
    with DefaultScope.overwrite_default_scope('mmcggm'):
        model = MODELS.build(Config.fromfile(config, format_python_code=False).model).eval()
    meta = dict(epoch=1, cfg='max_epochs = 1')
    torch.save(dict(meta=meta, state_dict=model.state_dict(), optimizer=dict(lr=0.1)), checkpoint)
    return Predictor(config, checkpoint, model)


def rows(split: str) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """Return the inputs ``(N, C)`` of a split by modality, and its classes ``(N,)``."""
    content = arrays()
    chosen = content['split'] == split
    inputs = {m: torch.from_numpy(content[m][chosen]).float() for m in CHANNELS}
    return inputs, content['label'][chosen]
