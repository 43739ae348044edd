"""PMR on UPMC Food-101, with α = 1, the authors' for fusions that are no concatenation.

As published, it ends a little after half of the training, and prototypes are of a tenth of an epoch, some
50 updates.
"""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='PMR', alpha=1.0, mu=0.01, momentum=0.98))
custom_hooks = [dict(type='BalancingHook', end=32 / 60)]
