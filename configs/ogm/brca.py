"""OGM on TCGA-BRCA, with the α that the authors recommend for CREMA-D.

It acts in the first half of the training, as its authors' does.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='OGM', alpha=0.8, enhance=False))
custom_hooks = [
    dict(type='BalancingHook', end=0.5),
    dict(type='StandardisationHook'),
    dict(type='GuideScoreHook'),
]
