"""Multi-loss on CMU-MOSI: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/cmu_mosi.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook')]
