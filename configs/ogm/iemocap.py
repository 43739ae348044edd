"""OGM on IEMOCAP, with the α that the authors recommend for CREMA-D, emotions as well.

It acts in the first half of the training, as its authors' does.
"""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='OGM', alpha=0.8, enhance=False))
custom_hooks = [dict(type='BalancingHook', end=0.5)]
