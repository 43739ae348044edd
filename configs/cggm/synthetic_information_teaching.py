"""CGGM with the recommended settings, whose guides also teach their encoders (ours)."""

_base_ = ['../_base_/guided/synthetic_information.py']

optim_wrapper = dict(balancer=dict(type='TeachingCGGM'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook', control=True)]
