"""PMR on spoken and handwritten digits, with α = 2 as published for concatenation.

As published, it ends a little after half of the training, and prototypes are of a tenth of an epoch: here
four of 38 updates.
"""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='PMR', alpha=2.0, mu=0.01, momentum=0.75))
custom_hooks = [dict(type='BalancingHook', end=7 / 12), dict(type='GuideScoreHook')]
