"""Data Remixing on UCI Multiple Features, with the authors' warm-up: a sixth of the training."""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='DataRemixing'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
