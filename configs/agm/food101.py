"""AGM on UPMC Food-101, with the α that the authors name for CREMA-D.

It acts in the first fifth of the training, as its authors' does.
"""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='AGM', alpha=1.5))
custom_hooks = [dict(type='BalancingHook', end=0.2)]
