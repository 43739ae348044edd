"""MSLR on UCI Multiple Features, with learning rates that follow the last five validations."""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='MSLR', strategy='dynamic', history=5))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
