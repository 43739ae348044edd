"""AMCo on TCGA-BRCA, with BalanceBenchmark's σ and ε."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='AMCo', sigma=0.5, eps=0.3))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
