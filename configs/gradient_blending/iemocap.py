"""Gradient-Blending on the paper's model on IEMOCAP, online, with weights anew every ten epochs."""

_base_ = ['../cggm/iemocap.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='GradientBlending', super_epoch=10))
custom_hooks = [dict(type='CGGMHook'), dict(type='GuideScoreHook')]
