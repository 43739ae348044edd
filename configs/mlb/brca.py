"""MLB on TCGA-BRCA, with the authors' α."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='MLB', alpha=0.8))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
