"""MSLR on UCI Multiple Features, with learning rates that follow the last five validations."""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MSLR', strategy='dynamic', history=5))
custom_hooks = [dict(type='CGGMHook'), dict(type='GuideScoreHook')]
