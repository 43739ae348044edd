"""ReLearning on UPMC Food-101, with the authors' λ.

They re-learn three times in 90 epochs, every 20; every 13 of 60 is about the same share.
"""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='ReLearning', lam=3.0, interval=13 / 60, times=3))
custom_hooks = [dict(type='BalancingHook')]
