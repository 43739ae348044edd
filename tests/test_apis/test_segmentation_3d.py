"""Segmenting files with a 3D network gives what testing their store gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from mmcggm.apis import SegmentationInferencer
from mmcggm.registry import DATASETS
from tests.segmentors import CONFIGS, build

CASE = 'BraTS2021_00001'


@pytest.fixture(scope='module', params=['brats_unet3d_small', 'brats_unet3d_small_regions'])
def cfg(brats_store, request) -> Config:
    cfg = Config.fromfile(CONFIGS / 'cggm' / f'{request.param}.py')
    cfg.model.model.test_cfg.update(patch_size=(16, 16, 32))
    cfg.test_dataloader.dataset.update(data_root=str(brats_store), split='all')
    return cfg


def test_files_are_segmented_as_their_store_is_tested(cfg, brats_source: Path, tmp_path):
    torch.manual_seed(0)
    model = build(cfg.model).eval()
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'model.pth')
    with DefaultScope.overwrite_default_scope('mmcggm'):
        volumes = DATASETS.build(cfg.test_dataloader.dataset)
    index = next(i for i in range(len(volumes)) if volumes.get_data_info(i)['case'] == CASE)
    with torch.no_grad():
        (expected,) = model.test_step(pseudo_collate([volumes[index]]))

    settings = dict(device='cpu', labels='gli2021', batch_size=3)
    inferencer = SegmentationInferencer(cfg, tmp_path / 'model.pth', **settings)
    (found,) = inferencer(brats_source / CASE, probabilities=True, progress=False)
    assert inferencer.model.model.test_cfg.windows_per_pass == 3
    labels = expected.pred_sem_seg.data.numpy()
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(found.training_labels, labels)
    probabilities = torch.from_numpy(found.training_probabilities).unsqueeze(0)
    np.testing.assert_array_equal(model.model.outputs.label_map(probabilities)[0], labels)
