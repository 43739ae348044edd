"""Regression: how diabetes progresses, from the body (age, sex, BMI, blood pressure) and from blood serum."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from mmcggm.engine.launch import build_runner
from mmcggm.engine.settings import read_config

patients = load_diabetes()
progression = (patients.target - patients.target.mean()) / patients.target.std()
Path('data').mkdir(exist_ok=True)
np.savez('data/diabetes.npz', body=patients.data[:, :4], serum=patients.data[:, 4:], progression=progression)

cfg = read_config('_base_/guided/features_regression.py')
for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
    loader.dataset.update(
        inputs=dict(body='data/diabetes.npz:body', serum='data/diabetes.npz:serum'),
        labels='data/diabetes.npz:progression',
        target='regression',
        splits=dict(train=0.6, val=0.2, test=0.2),
    )
cfg.model.model.update(outputs=1)
cfg.model.model.backbone.update(in_channels=dict(body=4, serum=6))
cfg.optim_wrapper.balancer = dict(
    type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'), magnitude='update'
)
cfg.custom_hooks.append(dict(type='BalancingHook'))
cfg.train_cfg.max_epochs = 10
cfg.work_dir = 'work_dirs/demo/regression'

runner = build_runner(cfg)
runner.train()
print(runner.test())
