"""CGGM on spoken and handwritten digits, with the settings that docs/cggm.md recommends."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(
    balancer=dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))
)
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
