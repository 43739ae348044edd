"""Gradient-Blending on TCGA-BRCA, online, with weights anew every three epochs."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='GradientBlending', super_epoch=3))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
