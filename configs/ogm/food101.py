"""OGM on UPMC Food-101, with the α that the authors recommend for VGGSound, of many classes as well.

It acts in the first half of the training, as its authors' does.
"""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='OGM', alpha=0.1, enhance=False))
custom_hooks = [dict(type='BalancingHook', end=0.5)]
