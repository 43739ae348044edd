"""PDMP on TCGA-BRCA, where RNA is the best omics alone: a control."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='PDMP', dominant='rna'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
