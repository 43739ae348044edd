"""Classification of your own arrays: the upper and the lower half of a digit, balanced by CGGM."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from mmcggm.engine.launch import build_runner
from mmcggm.engine.settings import read_config

digits = load_digits()
Path('data').mkdir(exist_ok=True)
np.savez('data/halves.npz', upper=digits.data[:, :32], lower=digits.data[:, 32:], label=digits.target)

cfg = read_config('_base_/guided/features_classification.py')
for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
    loader.dataset.update(
        inputs=dict(upper='data/halves.npz:upper', lower='data/halves.npz:lower'),
        labels='data/halves.npz:label',
        classes=10,
        splits=dict(train=0.6, val=0.2, test=0.2),
    )
cfg.model.model.update(outputs=10)
cfg.model.model.backbone.update(in_channels=dict(upper=32, lower=32))
cfg.optim_wrapper.balancer = dict(
    type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'), magnitude='update'
)
cfg.custom_hooks.append(dict(type='BalancingHook'))
cfg.train_cfg.max_epochs = 5
cfg.work_dir = 'work_dirs/demo/classification'

runner = build_runner(cfg)
runner.train()
print(runner.test())
