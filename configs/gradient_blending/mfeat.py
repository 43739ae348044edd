"""Gradient-Blending on UCI Multiple Features, online, with weights anew every three epochs."""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='GradientBlending', super_epoch=3))
custom_hooks = [dict(type='CGGMHook'), dict(type='GuideScoreHook')]
