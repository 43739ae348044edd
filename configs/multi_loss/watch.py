"""Multi-loss on exercises that a watch recorded: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/watch.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
