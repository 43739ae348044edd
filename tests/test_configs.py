"""Every config loads, builds its model, and says what to do where its data is absent."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmcggm.registry import DATASETS, METRICS, MODELS

ROOT = Path(__file__).parents[1]
# Those of a method's folder: beside the folders stand a user's own.
CONFIGS = sorted(p for p in (ROOT / 'configs').glob('*/*.py') if p.parent.name not in ('_base_', 'benchmark'))


@pytest.fixture(params=CONFIGS, ids=lambda path: str(path.relative_to(ROOT / 'configs')))
def cfg(request):
    with DefaultScope.overwrite_default_scope('mmcggm'):
        yield Config.fromfile(request.param)


def test_model_and_metrics_build(cfg):
    with torch.device('meta'):
        MODELS.build(cfg.model)
    METRICS.build(cfg.val_evaluator)


def test_absent_data_is_explained(cfg, tmp_path):
    dataset = cfg.train_dataloader.dataset
    dataset.data_root = str(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match='download'):
        DATASETS.build(dataset)


def test_demo_changes_only_what_it_must():
    published, demo = (Config.fromfile(ROOT / f'configs/cggm/brats_unet{s}.py') for s in ('', '_demo'))
    assert demo.model.model.backbone.encoder.type == published.model.model.backbone.encoder.type
    assert demo.optim_wrapper.balancer.rho == published.optim_wrapper.balancer.rho == 1.0
    assert demo.optim_wrapper.balancer.lam == published.optim_wrapper.balancer.lam == 0.1
    assert demo.train_pipeline == published.train_pipeline
