"""PDMP on UCI Multiple Features, where `fac` is the best view alone: a control."""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='PDMP', dominant='fac'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
