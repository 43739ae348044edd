"""InfoReg on TCGA-BRCA, with the threshold of the authors' code."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='InfoReg', threshold=0.05))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
