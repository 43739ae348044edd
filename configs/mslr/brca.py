"""MSLR on TCGA-BRCA, with learning rates that follow the last five validations."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='MSLR', strategy='dynamic', history=5))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
