"""MIMO on TCGA-BRCA."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='MIMO', lam=1.0, mu=1.0))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
