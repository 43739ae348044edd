"""Multi-loss on IEMOCAP: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook')]
