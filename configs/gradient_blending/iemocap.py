"""Gradient-Blending on the paper's model on IEMOCAP, online, with weights anew every ten epochs."""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='GradientBlending', super_epoch=10))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
