"""OGM on spoken and handwritten digits, with the α that the authors recommend for CREMA-D."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='OGM', alpha=0.8, enhance=False))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
