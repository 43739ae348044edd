"""MLA on UCI Multiple Features.

The baseline's fusion adds up, as MLA needs it. Six views take turns, so six times the epochs are as many
steps of an encoder as in the authors' code.
"""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='MLA'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
train_cfg = dict(max_epochs=72, val_interval=6)
