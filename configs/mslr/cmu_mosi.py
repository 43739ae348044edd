"""MSLR on the paper's model on CMU-MOSI, with learning rates that follow the last five validations."""

_base_ = ['../_base_/guided/cmu_mosi.py']

optim_wrapper = dict(balancer=dict(type='MSLR', strategy='dynamic', history=5))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
