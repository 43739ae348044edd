"""LFM on spoken and handwritten digits, with the heuristic schedule.

The encoders differ in width, so what is matched are the guides' predictions, as in the authors' code.
"""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='LFM', matching='divergence'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
