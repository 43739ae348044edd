"""ReLearning on spoken and handwritten digits, with the authors' λ.

They re-learn three times in 90 epochs, every 20; every 3 of 12 is about the same share.
"""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='ReLearning', lam=3.0, interval=3 / 12, times=3))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
