"""Multi-loss on MELD's dev utterances: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/meld.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
