"""MLA on TCGA-BRCA.

The baseline's fusion adds up, as MLA needs it. Three omics take turns, so three times the epochs are as
many steps of an encoder as in the authors' code.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='MLA'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
train_cfg = dict(max_epochs=90, val_interval=3)
