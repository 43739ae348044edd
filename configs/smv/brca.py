"""Sample-level modality valuation on TCGA-BRCA.

It begins after a twelfth of the training, about the published share. Each update values all eight subsets
of the omics.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='SMV', level='sample'))
custom_hooks = [
    dict(type='BalancingHook', begin=1 / 12),
    dict(type='StandardisationHook'),
    dict(type='GuideScoreHook'),
]
