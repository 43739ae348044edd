"""OPM on TCGA-BRCA, with the settings of the authors' code.

It begins after a twelfth of the training, about the published share.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='OPM', q_base=0.5, lam=0.5, p_exe=0.7))
custom_hooks = [
    dict(type='BalancingHook', begin=1 / 12),
    dict(type='StandardisationHook'),
    dict(type='GuideScoreHook'),
]
