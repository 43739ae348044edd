"""Gradient-Blending on the paper's model on CMU-MOSI, online, with weights anew every ten epochs."""

_base_ = ['../_base_/guided/cmu_mosi.py']

optim_wrapper = dict(balancer=dict(type='GradientBlending', super_epoch=10))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
