"""Greedy on TCGA-BRCA, with the settings of the authors' code.

It begins after the first epoch, as in the authors' code.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='Greedy', epsilon=0.01, window=5))
custom_hooks = [
    dict(type='BalancingHook', begin=1),
    dict(type='StandardisationHook'),
    dict(type='GuideScoreHook'),
]
