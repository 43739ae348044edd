"""ReLearning on IEMOCAP, with the authors' λ.

They re-learn three times in 90 epochs, every 20; every 7 of 30 is about the same share.
"""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='ReLearning', lam=3.0, interval=7 / 30, times=3))
custom_hooks = [dict(type='BalancingHook')]
