"""MIDAS on TCGA-BRCA."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='MIDAS'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
