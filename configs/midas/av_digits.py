"""MIDAS on spoken and handwritten digits."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='MIDAS'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
