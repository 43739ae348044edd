"""CGGM with the recommended settings, whose guides also teach their encoders (ours)."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='TeachingCGGM', magnitude='update'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
