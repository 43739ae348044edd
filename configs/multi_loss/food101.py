"""Multi-loss on UPMC Food-101: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook')]
