"""MCR on UCI Multiple Features.

With six views a step reruns fusion seven times.
"""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='MCR'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
