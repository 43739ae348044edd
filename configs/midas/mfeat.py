"""MIDAS on UCI Multiple Features."""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='MIDAS'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
