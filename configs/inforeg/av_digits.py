"""InfoReg on spoken and handwritten digits, with the threshold of the authors' code."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='InfoReg', threshold=0.05))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
