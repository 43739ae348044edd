"""MBSD on IEMOCAP."""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='MBSD'))
custom_hooks = [dict(type='BalancingHook')]
