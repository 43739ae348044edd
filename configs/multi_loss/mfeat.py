"""Multi-loss on UCI Multiple Features: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
