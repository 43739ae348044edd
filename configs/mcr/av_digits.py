"""MCR on spoken and handwritten digits.

The encoders differ in width, so representations are not contrasted.
"""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='MCR', lam_con=0.0))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
