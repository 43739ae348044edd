"""Multi-loss on spoken and handwritten digits: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
