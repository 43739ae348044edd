"""DGL on TCGA-BRCA, with unimodal losses from the guides."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='DGL'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
