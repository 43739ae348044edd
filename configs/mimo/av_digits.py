"""MIMO on spoken and handwritten digits."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='MIMO', lam=1.0, mu=1.0))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
