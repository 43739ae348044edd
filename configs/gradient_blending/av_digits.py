"""Gradient-Blending on spoken and handwritten digits, online, with weights anew every three epochs."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='GradientBlending', super_epoch=3))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
