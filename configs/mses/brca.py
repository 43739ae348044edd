"""MSES on TCGA-BRCA, with a patience of ours, since the paper's isn't known to us."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='MSES', patience=5))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
