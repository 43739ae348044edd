"""AGM on UCI Multiple Features, with the α that the authors name for AV-MNIST, digits as well.

Six views are 62 more passes a step.
It acts in the first fifth of the training, as its authors' does.
"""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='AGM', alpha=2.5))
custom_hooks = [dict(type='BalancingHook', end=0.2), dict(type='GuideScoreHook')]
