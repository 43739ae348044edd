"""Data Remixing on TCGA-BRCA, with the authors' warm-up: a sixth of the training."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='DataRemixing'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
