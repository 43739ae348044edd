"""Gradient-Blending on UCI Multiple Features, online, with weights anew every three epochs."""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='GradientBlending', super_epoch=3))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
