"""Multi-loss on the synthetic family: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/synthetic_information.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook', control=True)]
