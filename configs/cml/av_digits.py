"""CML on spoken and handwritten digits, with BalanceBenchmark's λ: 0.1, of a sum over 64 samples."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='CML', lam=6.4))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
