"""Gradient-Blending on the paper's model on CMU-MOSI, online, with weights anew every ten epochs."""

_base_ = ['../cggm/cmu_mosi.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='GradientBlending', super_epoch=10))
custom_hooks = [dict(type='CGGMHook'), dict(type='GuideScoreHook')]
