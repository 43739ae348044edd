"""AGM on IEMOCAP, with the α that the authors name for UR-Funny, of the same three modalities.

It acts in the first fifth of the training, as its authors' does.
"""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='AGM', alpha=4.0))
custom_hooks = [dict(type='BalancingHook', end=0.2)]
