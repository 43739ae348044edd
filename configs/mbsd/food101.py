"""MBSD on UPMC Food-101."""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='MBSD'))
custom_hooks = [dict(type='BalancingHook')]
