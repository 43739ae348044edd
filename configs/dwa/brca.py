"""Dynamic Weight Average of the fused and the unimodal losses on TCGA-BRCA."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='DWA', temperature=2.0))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
