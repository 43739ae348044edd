"""Multi-loss on 100 Leaves: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/leaves100.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
