"""AGM on TCGA-BRCA, with the α that the authors name for AV-MNIST.

It acts in the first fifth of the training, as its authors' does.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='AGM', alpha=2.5))
custom_hooks = [
    dict(type='BalancingHook', end=0.2),
    dict(type='StandardisationHook'),
    dict(type='GuideScoreHook'),
]
